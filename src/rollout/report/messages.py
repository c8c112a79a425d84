"""The message catalogue: every word that a document, an artifact or a gate shows to people, in Chinese and English.

The texts are data (``catalogue/zh.yaml``, ``catalogue/en.yaml``), nested by topic; keys are the dotted paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from rollout.model.finding import Finding
from rollout.project.spec import Language


class MissingMessage(KeyError):  # noqa: N818 - a defect of the catalogue, which the tests find
    """A document asked for a key that the catalogue does not have."""


class Messages:
    """The texts of one language."""

    def __init__(self, language: Language, texts: Mapping[str, str]) -> None:
        self.language = language
        self.texts = texts

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key with its ``{placeholders}`` filled. Raises MissingMessage."""
        try:
            text = self.texts[key]
        except KeyError as error:
            raise MissingMessage(f"{self.language}: {key}") from error
        return text.format(**values) if values else text

    def word(self, family: str, name: str) -> str:
        """The text of ``family.name``, or the name itself: names that projects and connectors coin have no entry."""
        return self.texts.get(f"{family}.{name}", name)

    def reasons(self, codes: str) -> str:
        """Reason codes, as the ledger joins those of one row with commas."""
        return ("；" if self.language == "zh" else "; ").join(self.word("reason", code) for code in codes.split(","))

    def finding_title(self, finding: Finding) -> str:
        """What the finding says, in this language; a connector's own finding keeps its message."""
        text = self.texts.get(f"finding.{finding.id}.title")
        if text is None:
            return finding.message
        told = {name: self.word(name, fact) if isinstance(fact, str) else fact for name, fact in finding.detail.items()}
        return text.format_map(_Details(told))

    def finding_advice(self, finding: Finding) -> str:
        """What to do next."""
        return self.texts.get(f"finding.{finding.id}.advice", finding.hint)

    def label(self, chinese: str, english: str) -> str:
        """The label of this language, or the other one where it is missing."""
        return (english or chinese) if self.language == "en" else (chinese or english)


class _Details(dict[str, Any]):
    """A finding's figures; one it lacks shows as a dash instead of breaking the document."""

    def __missing__(self, key: str) -> str:
        return "–"


@cache
def messages(language: Language) -> Messages:
    """The catalogue of a language, read once."""
    return Messages(language, {key: text for file in catalogue_files(language) for key, text in _texts(file)})


def catalogue_files(language: Language) -> tuple[Traversable, ...]:
    """The files of a language: `zh.yaml`, and `zh.{part}.yaml` for parts with many words of their own."""
    folder = files("rollout.report") / "catalogue"
    found = [file for file in folder.iterdir() if file.name.startswith(f"{language}.") and file.name.endswith(".yaml")]
    return tuple(sorted(found, key=lambda file: file.name))


def _texts(file: Traversable) -> Iterator[tuple[str, str]]:
    return _flat(yaml.safe_load(file.read_text(encoding="utf-8")) or {})


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, branch in tree.items():
        if isinstance(branch, Mapping):
            yield from _flat(branch, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(branch)
