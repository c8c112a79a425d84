"""YAML with positions: what a file says, and on which line it says it. Every problem of a file is a finding."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rollout.model.finding import Finding, Level

Place = tuple[str | int, ...]
"""Keys and indexes from the top of a file to a value."""

_MAX_NODES = 200_000


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: dates stay text, and of the words for yes and no only `true` and `false` are more."""


_SURPRISES = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _SURPRISES]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), ["t", "f"])


@dataclass
class Document:
    """A YAML file's content, with the line of each key and item."""

    name: str
    """How findings call the file, such as `mappings/account.yaml`."""
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def where(self, place: Place = ()) -> str:
        """``file:line`` of a place, or of the nearest thing around it."""
        known = self.known(place)
        return f"{self.name}:{self.lines.get(known, 1)}"

    def known(self, place: Place) -> Place:
        """The longest beginning of a place that the file really has."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    def error(self, finding_id: str, message: str, place: Place = (), *, hint: str = "") -> Finding:
        """An error at a place of this file."""
        return Finding(id=finding_id, level=Level.ERROR, message=message, where=self.where(place), hint=hint)

    def warning(self, finding_id: str, message: str, place: Place = (), *, hint: str = "") -> Finding:
        """A warning at a place of this file."""
        return Finding(id=finding_id, level=Level.WARNING, message=message, where=self.where(place), hint=hint)


def read_yaml(path: Path, name: str) -> Document:
    """Read a file whose top is a mapping. Never raises for bad content: ``findings`` tell, ``data`` is then empty."""
    document = Document(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return _broken(document, "yaml.file_missing", "the file does not exist", hint="correct its name or make it")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        return _broken(document, "yaml.encoding", "the file is not UTF-8", line, hint="save it as UTF-8")
    except OSError as error:
        return _broken(document, "yaml.unreadable", f"the file cannot be read ({error.strerror})")
    return _parse(text, document)


def parse_yaml(text: str, name: str) -> Document:
    """As `read_yaml`, of text that is in no file yet."""
    return _parse(text, Document(name))


class _TooLargeError(Exception):
    """Aliases blow the file up, or it contains itself."""


def _parse(text: str, document: Document) -> Document:
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            return _broken(document, "yaml.no_mapping", "the file must consist of `key: value` lines")
        _walk(root, (), document, [])
        if document.findings:
            return document
        document.data = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        return _broken(
            document,
            "yaml.syntax",
            f"not valid YAML: {problem}",
            mark.line + 1 if mark else 1,
            hint="look at indentation, quotes and colons here and in the line above",
        )
    except (yaml.YAMLError, ValueError) as error:
        return _broken(document, "yaml.syntax", f"not valid YAML: {str(error).splitlines()[0]}")
    except (RecursionError, _TooLargeError):
        return _broken(document, "yaml.too_large", "the file is nested too deeply or refers to itself")
    return document


def _broken(document: Document, finding_id: str, message: str, line: int = 1, *, hint: str = "") -> Document:
    document.data = {}
    where = f"{document.name}:{line}"
    document.findings.append(Finding(id=finding_id, level=Level.ERROR, message=message, where=where, hint=hint))
    return document


def _walk(node: yaml.Node, place: Place, document: Document, within: list[yaml.Node]) -> None:
    """Note the lines of everything below a node, and keys that are said twice."""
    if any(node is outer for outer in within) or len(document.lines) > _MAX_NODES:
        raise _TooLargeError
    within.append(node)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                document.findings.append(document.error("yaml.key", "a key must be a plain word", place))
                continue
            if name in seen:
                document.lines.setdefault((*place, name), line)
                message = f"'{name}' is said twice, first in line {seen[name]}; only one would count"
                where = f"{document.name}:{line}"
                document.findings.append(
                    Finding(id="yaml.duplicate_key", level=Level.ERROR, message=message, where=where, hint="remove one")
                )
                continue
            seen[name] = line
            document.lines[(*place, name)] = line
            _walk(value, (*place, name), document, within)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            document.lines[(*place, index)] = item.start_mark.line + 1
            _walk(item, (*place, index), document, within)
    within.pop()
