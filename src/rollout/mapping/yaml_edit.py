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
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from rollout.errors import ConfigError

KEYS = (
    *("target", "source", "const", "lookup", "transform", "required", "on_error", "default", "optional"),
    *("note", "confirmed_by", "confirmed_on"),
)
"""Keys of a rule in the order in which they are written."""

_BY_HAND = "change this rule by hand; parts that rules share (&name, *name) cannot be changed from a workbook"
_RESOLVER = yaml.resolver.Resolver()


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
        ConfigError: The rules do not stand on lines of their own, so that they cannot be told apart; one that changes
            refers to another place of the file; or the file would not say afterwards what it should.
    """
    try:
        result = _edited(text, edits, shown)
        told = yaml.safe_load(result)["fields"]
    except (YAMLError, yaml.YAMLError) as error:
        raise ConfigError("the rules cannot be changed one by one", where=shown, hint=_BY_HAND) from error
    if told != _expected(yaml.safe_load(text)["fields"], edits):
        raise ConfigError("the rules cannot be changed without changing others", where=shown, hint=_BY_HAND)
    return result


def _expected(rules: Sequence[Mapping[str, Any]], edits: Sequence[Edit]) -> list[dict[str, Any]] | None:
    """What the rules are to say after the changes; None: there are none left."""
    found = {str(rule["target"]): dict(rule) for rule in rules}
    for edit in edits:
        if edit.values is None:
            found.pop(edit.target, None)
            continue
        rule = {"target": edit.target, **found.get(edit.target, {}), **edit.values}
        found[edit.target] = {key: value for key, value in rule.items() if key not in edit.values or value is not None}
    return [_plain(rule) for rule in found.values()] or None


def _plain(value: Any) -> Any:
    """A value as a YAML file gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _edited(text: str, edits: Sequence[Edit], shown: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    items = _items(lines, shown)
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
            changed = _changed("\n".join([*lines[item.first : item.last + 1], ""]), edit.values, item.column)
        lines[item.first : item.last + 1] = changed
    return newline.join(lines)


def _items(lines: Sequence[str], shown: str) -> dict[str, _Item]:
    """Where each rule stands."""
    root = yaml.compose("\n".join(lines), Loader=_Apart)
    assert isinstance(root, yaml.MappingNode)
    fields = next(value for key, value in root.value if key.value == "fields")
    items: dict[str, _Item] = {}
    if not isinstance(fields, yaml.SequenceNode) or fields.flow_style:
        raise ConfigError("the rules stand in one line", where=shown, hint="begin each on a line of its own with '- '")
    column = fields.start_mark.column
    for node in fields.value:
        target = next((str(value.value) for key, value in node.value if key.value == "target"), None)
        if target is None:
            raise ConfigError("a rule takes its target from elsewhere in the file", where=shown, hint=_BY_HAND)
        first = node.start_mark.line
        while lines[first][column : column + 1] != "-":  # the dash may stand on a line above
            first -= 1
        items[target] = _Item(first, _last_line(node), column)
    return items


class _Apart(yaml.SafeLoader):
    """Composes what refers to another place (`*name`) where it is written, not as what it refers to."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node at its own place."""
        if not self.check_event(yaml.AliasEvent):
            return super().compose_node(parent, index)
        event = self.get_event()  # type: ignore[no-untyped-call]
        return yaml.ScalarNode("tag:yaml.org,2002:str", f"*{event.anchor}", event.start_mark, event.end_mark)


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
    if not out.getvalue().startswith(" " * column + "-"):
        raise YAMLError
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
    # ruamel writes YAML 1.2, mappings are read as YAML 1.1: there 12:30 would be a number.
    return SingleQuotedScalarString(value) if isinstance(value, str) and _is_read_as_more(value) else value


def _is_read_as_more(text: str) -> bool:
    """Whether text without quotes is a number, a date, or another thing that is no text, to whoever reads it."""
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return bool(tag != "tag:yaml.org,2002:str")
