"""Changes of a mapping file that leave everything else in it as it is, byte for byte: comments, order, spacing.

Only the lines of the rules that change are written anew, by ruamel.yaml, which keeps the comments in them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from rollout.errors import ConfigError

KEYS = (
    *("target", "source", "const", "lookup", "transform", "required", "on_error", "default", "optional"),
    *("note", "confirmed_by", "confirmed_on"),
)
"""Keys of a rule in the order in which they are written."""


class Edit(NamedTuple):
    """A change of one rule."""

    target: str
    values: Mapping[str, Any] | None
    """Key → new value, None takes the key out; None as a whole takes the rule out."""


class _Item(NamedTuple):
    first: int
    """Line, from 0."""
    last: int
    column: int
    """Of the dash."""


def new_file(entity: str, source: str, rules: Sequence[Mapping[str, Any]]) -> str:
    """A mapping file of these rules."""
    head = f"entity: {entity}\nsource: {source}\nfields:\n"
    return head + "".join(_rendered(rule, 2) for rule in rules)


def edited(text: str, edits: Sequence[Edit], *, shown: str) -> str:
    """A mapping file's text with its rules changed; rules that it does not have yet come last.

    Raises:
        ConfigError: The rules do not stand on lines of their own, so that they cannot be told apart.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    items = _items("\n".join(lines), shown)
    new = [edit for edit in edits if edit.target not in items and edit.values is not None]
    last = max(items.values(), key=lambda item: item.last)
    for edit in new:
        rule = {"target": edit.target, **(edit.values or {})}
        block = _rendered({key: value for key, value in rule.items() if value is not None}, last.column)
        lines[last.last + 1 : last.last + 1] = block.split("\n")[:-1]
        last = last._replace(last=last.last + block.count("\n"))
    known = [(items[edit.target], edit) for edit in edits if edit.target in items]
    for item, edit in sorted(known, key=lambda pair: -pair[0].first):
        changed: list[str] = []
        if edit.values is not None:
            changed = _changed("\n".join(lines[item.first : item.last + 1]), edit.values, item.column)
        lines[item.first : item.last + 1] = changed
    return newline.join(lines)


def _items(text: str, shown: str) -> dict[str, _Item]:
    """Where each rule stands."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    fields = next(value for key, value in root.value if key.value == "fields")
    items: dict[str, _Item] = {}
    if not isinstance(fields, yaml.SequenceNode) or fields.flow_style:
        raise ConfigError("the rules stand in one line", where=shown, hint="begin each on a line of its own with '- '")
    for node in fields.value:
        target = next(str(value.value) for key, value in node.value if key.value == "target")
        items[target] = _Item(node.start_mark.line, _last_line(node), fields.start_mark.column)
    return items


def _last_line(node: yaml.Node) -> int:
    """The last line on which a node holds anything."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    mark = node.end_mark
    return int(mark.line if mark.column else mark.line - 1)  # a block of text ends where the next line begins


def _changed(text: str, values: Mapping[str, Any], column: int) -> list[str]:
    """The lines of one rule with other values."""
    writer = _writer(column)
    rules = writer.load(text)
    rule = rules[0]
    for key, value in values.items():
        if value is None:
            rule.pop(key, None)
        elif key in rule:
            rule[key] = _flow(value)
        else:
            behind = [place for place, known in enumerate(rule) if KEYS.index(known) < KEYS.index(key)]
            rule.insert(behind[-1] + 1 if behind else 0, key, _flow(value))
    return _dumped(writer, rules, column).rstrip("\n").split("\n")


def _rendered(rule: Mapping[str, Any], column: int) -> str:
    """A new rule, a key a line."""
    plain = CommentedMap((key, _flow(rule[key])) for key in KEYS if key in rule)
    return _dumped(_writer(column), CommentedSeq([plain]), column)


def _dumped(writer: YAML, rules: Any, column: int) -> str:
    out = io.StringIO()
    writer.dump(rules, out)
    # ruamel puts a sequence at the top at the writer's offset, where the dash of these rules is.
    assert out.getvalue().startswith(" " * column + "-")
    return out.getvalue()


def _writer(column: int) -> YAML:
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 100_000
    writer.indent(mapping=2, sequence=column + 2, offset=column)
    return writer


def _flow(value: Any) -> Any:
    """Lists and mappings in one line, as people write them."""
    if isinstance(value, Mapping):
        made = CommentedMap((key, _flow(item)) for key, item in value.items())
        made.fa.set_flow_style()
        return made
    if isinstance(value, list | tuple):
        listed = CommentedSeq([_flow(item) for item in value])
        listed.fa.set_flow_style()
        return listed
    return value
