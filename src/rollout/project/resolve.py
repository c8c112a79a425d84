"""From the project file's raw content to what is in force: environment overlay, `${env:NAME}`, no secrets in clear."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from rollout.model.finding import Finding
from rollout.project.yamlfile import Document, Place

ENVIRONMENTS = "environments"
_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"(^|[_\-.])(password|passwd|passphrase|pwd|secret|token|credentials?|(api|access|private)_?key)$")


_MAY_HOLD_SECRETS = ("options", "loadtest", "handouts")
"""Sections whose keys may be logins; elsewhere `password` may well be the name of a field."""


def names_a_secret(option: str) -> bool:
    """Whether an option's name says that its value is a secret."""
    return _SECRET.search(option.lower()) is not None


def select_environment(document: Document, env: str | None) -> list[Finding]:
    """Merge the overlay `environments: {NAME: …}` into the document, deeply, and drop the section.

    Mappings merge, everything else replaces. Lines follow the values, so findings name the overlay's line.
    """
    overlays = document.data.pop(ENVIRONMENTS, {})
    if not isinstance(overlays, dict) or not all(isinstance(overlay, dict) for overlay in overlays.values()):
        hint = "write `environments:` / `  test:` / the keys that differ"
        return [
            document.error("project.environments", "`environments` must map names to keys", (ENVIRONMENTS,), hint=hint)
        ]
    if env is None:
        return []
    if env not in overlays:
        known = ", ".join(sorted(map(str, overlays))) or "none is declared"
        return [
            document.error(
                "project.environment_unknown", f"no environment is called '{env}'", (ENVIRONMENTS,), hint=known
            )
        ]
    document.data = _merged(document.data, overlays[env])
    prefix = (ENVIRONMENTS, env)
    moved = {
        place[2:]: line for place, line in document.lines.items() if place[:2] == prefix and len(place) > len(prefix)
    }
    document.lines.update(moved)
    return []


def _merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overlay.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def clear_secrets(document: Document) -> list[Finding]:
    """Errors for options that look like secrets and stand in the file, in any environment."""
    findings = []
    for place, value in _texts(document.data, ()):
        within = next((place[place.index(section) + 1 :] for section in _MAY_HOLD_SECRETS if section in place), None)
        if within is None:
            continue
        named = any(isinstance(key, str) and names_a_secret(key) for key in within)
        if (named and not _REFERENCE.fullmatch(value)) or _has_clear_password(value):
            findings.append(
                document.error(
                    "project.secret_in_clear",
                    f"'{place[-1]}' looks like a secret and stands in the file",
                    place,
                    hint='put it into an environment variable and write "${env:NAME}" here',
                )
            )
    return findings


def _has_clear_password(value: str) -> bool:
    """Whether a URL carries its password in clear."""
    try:
        password = urlsplit(_REFERENCE.sub("", value)).password if "://" in value else None
    except ValueError:
        return False
    return bool(password)


def resolve_variables(document: Document, environ: Mapping[str, str]) -> list[Finding]:
    """Put the environment's values in the place of `${env:NAME}`, in values only; a missing one is an error."""
    findings: list[Finding] = []

    def resolved(value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: resolved(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [resolved(item, (*place, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        if "${" in _REFERENCE.sub("", value):
            hint = "references are written ${env:NAME}"
            findings.append(document.error("project.reference", "a `${…}` that is no reference", place, hint=hint))
        for name in (name for name in _REFERENCE.findall(value) if name not in environ):
            told, hint = f"the environment variable {name} is not set", f"set it, as in `export {name}=…`"
            findings.append(document.error("project.variable_missing", told, place, hint=hint))
        return _REFERENCE.sub(lambda match: environ.get(match[1], ""), value)

    document.data = resolved(document.data, ())
    return findings


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*place, index))
    elif isinstance(value, str):
        yield place, value
