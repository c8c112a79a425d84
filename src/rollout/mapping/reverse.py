"""A mapping the other way about: from values of the target back to cells of the legacy system. Pure.

No transform is inverted on trust. For each value cells are proposed: the legacy system's own spelling of it, the keys
of value and owner maps, the ways a country writes phones and dates, the value itself. The first one that the mapping
turns into exactly this value again is taken. Where none does, that is said with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers
import pyarrow as pa

from rollout.mapping.spec import MappingRule
from rollout.mapping.transforms import Step, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.mapping.transforms_text import lookup_key
from rollout.mapping.transforms_values import DateArgs
from rollout.model.entity import FieldType

MAX_SPELLINGS = 1_000
"""A legacy column with more distinct cells than this holds no code list: its spellings are not collected."""


class Cell(NamedTuple):
    """What a value becomes in the legacy system. ``problem`` says why it can not be written there."""

    text: str | None
    problem: str | None = None


@dataclass(frozen=True)
class FieldReverser:
    """Turns the values of one field back into cells of one source.

    Args:
        rule: How the source fills the field; None: it does not.
        steps: The rule's transforms, as `rollout.mapping.transforms.compile_steps` made them.
        field_type: Of the field.
        context: That the transforms ran with.
        spellings: By value the cell that the legacy system has most often for it, see `spellings`.
        keys: By value the keys of the rule's value and owner maps.
    """

    rule: MappingRule | None
    steps: Sequence[Step]
    field_type: FieldType
    context: TransformContext
    spellings: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def column(self) -> str | None:
        """The column that a value goes back to: of several the first. None: there is none."""
        return self.rule.columns[0] if self.rule is not None and self.rule.columns else None

    def cells(self, values: Sequence[str | None]) -> list[Cell]:
        """The cells of many values, in their order."""
        if self.rule is None:
            return [Cell(None, None if value is None else "no column of the source holds it") for value in values]
        if self.rule.const is not None:
            return [self._constant(self.rule.const, value) for value in values]
        found = self._found([value for value in dict.fromkeys(values) if value is not None])
        return [self._blank() if value is None else found[value] for value in values]

    def _constant(self, const: str, value: str | None) -> Cell:
        held = self._forward([const])[0]
        return Cell(None, None if value == held else "the mapping gives every row the same value")

    def _blank(self) -> Cell:
        """No value is an empty cell, unless the mapping fills that in."""
        assert self.rule is not None
        required = self.rule.required
        return Cell(None, "the mapping requires a value here" if required else None)

    def _found(self, values: Sequence[str]) -> dict[str, Cell]:
        """For each value the first proposal that the mapping turns into it; every proposal is tried in one pass."""
        proposals = [(value, cell) for value in values for cell in dict.fromkeys(self._proposals(value))]
        back = self._forward([cell for _, cell in proposals])
        found: dict[str, Cell] = {}
        for (value, cell), result in zip(proposals, back, strict=True):
            if result == value:
                found.setdefault(value, Cell(cell))
        return {value: found.get(value, Cell(None, "the mapping turns no cell into this value")) for value in values}

    def _forward(self, cells: Sequence[str]) -> list[str | None]:
        if not cells:
            return []
        results: list[str | None] = run_steps(pa.array(cells, pa.string()), self.steps, self.context).values.to_pylist()
        return results

    def _proposals(self, value: str) -> Iterator[str]:
        """Cells that may stand for a value, the likeliest first."""
        if value in self.spellings:
            yield self.spellings[value]
        keys = self.keys.get(value, ())
        if value in keys:
            yield value
        yield from keys
        if self.field_type is FieldType.PHONE:
            yield from _phones(value, self.context.phone_region)
        elif self.field_type in (FieldType.DATE, FieldType.DATETIME):
            yield from self._moments(value)
        elif self.field_type is FieldType.BOOLEAN:
            yield "是" if value == "true" else "否"
        yield value

    def _moments(self, value: str) -> Iterator[str]:
        """Dates in the format that the mapping declares; instants as local time of the source."""
        moment: date
        try:
            if self.field_type is FieldType.DATE:
                moment = date.fromisoformat(value)
            else:
                instant = datetime.fromisoformat(value).astimezone(UTC)
                moment = instant.astimezone(ZoneInfo(self.context.time_zone))
        except ValueError:
            return
        for step in self.steps:
            if isinstance(step.args, DateArgs):
                yield from (moment.strftime(pattern) for pattern in step.args.formats)
        if isinstance(moment, datetime):
            yield moment.strftime("%Y-%m-%d %H:%M:%S")


def spellings(cells: Iterable[tuple[str, int]], steps: Sequence[Step], context: TransformContext) -> dict[str, str]:
    """By value the cell that stands for it most often; of two that are as frequent the first in order.

    Args:
        cells: Distinct cells of a column, each with how often it occurs.
        steps: The rule's transforms.
        context: That they run with.
    """
    counted = Counter(dict(sorted(cells)))
    ordered = [cell for cell, _ in counted.most_common()]
    if not ordered:
        return {}
    values = run_steps(pa.array(ordered, pa.string()), steps, context).values.to_pylist()
    found: dict[str, str] = {}
    for cell, value in zip(ordered, values, strict=True):
        if value is not None:
            found.setdefault(value, cell)
    return found


def keys_by_value(table: Mapping[str, str]) -> dict[str, list[str]]:
    """A value or owner map the other way about: by value its keys, in the map's order, each spelling once."""
    found: dict[str, list[str]] = {}
    for key, value in table.items():
        found.setdefault(value, [])
        if lookup_key(key) not in map(lookup_key, found[value]):
            found[value].append(key)
    return found


def _phones(value: str, region: str) -> Iterator[str]:
    """A number as it is written within its own country."""
    plain, _, extension = value.partition(";ext=")
    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return
    if phonenumbers.region_code_for_country_code(number.country_code or 0) != region:
        return
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    area, _, rest = national.partition(" ") if national.startswith("0") else ("", "", national)
    compact = "-".join(filter(None, (area, rest.replace(" ", ""))))
    yield f"{compact}-{extension}" if extension else compact
