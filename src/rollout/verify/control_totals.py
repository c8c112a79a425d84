"""Control totals: figures of the legacy system that what was loaded must agree with.

A figure means nothing without what it counts, so each declares its tax, states, returns and time (`ControlTotal`). Only
records that the load brought count: what people or syncs created is no part of the legacy system's figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.entity import Values
from rollout.model.verdict import Measurement
from rollout.project.gates import CONTROL_TOTALS_OFF
from rollout.project.spec import ControlTotal, ProjectSpec

AUTO = "auto"
"""Stands for a figure that is added up from the source rows."""


LESS = ("merged", "quarantined", "skipped", "other_waves", "not_loaded")
"""Where amounts of source rows may be that the target does not show."""


class MadeOf(Frozen):
    """How what the target should show follows from the source rows; amounts as decimal text.

    expected = source − merged − quarantined − skipped − other_waves − not_loaded + changed. A source row that is in
    none of these places stays in it, and shows as a difference.
    """

    source: str = Field(description="Over all source rows, worked out from their own cells.")
    merged: str = Field(description="Of rows merged into others.")
    quarantined: str
    skipped: str
    other_waves: str = Field(default="0", description="Of golden records of other waves that the target does not have.")
    not_loaded: str = Field(description="Of this wave's golden records that it does not have, whatever the reason.")
    changed: str = Field(description="What survivorship and people's repairs changed, over the loaded records.")
    rows: dict[str, int] = Field(description="Source rows that count, by where they went.")
    unreadable: int = Field(description="Source rows of which a cell cannot be read; they are in no sum.")

    @property
    def expected(self) -> Decimal:
        """What the loaded records must add up to."""
        less = sum(Decimal(getattr(self, name)) for name in LESS)
        return Decimal(self.source) - less + Decimal(self.changed)


class ControlTotalResult(Frozen):
    """A figure of the legacy system beside the target's."""

    name: str
    entity: str
    measure: str
    field: str | None
    expected: str = Field(description="The legacy system's figure, as a decimal number.")
    observed: str = Field(description="The target's figure, over the records that were loaded.")
    difference: str = Field(description="observed − expected.")
    tolerance: str
    records: int = Field(description="Loaded records that count.")
    unreadable: int = Field(description="Of them those whose field holds no number; a total with one never agrees.")
    agrees: bool
    tax: str
    status: str
    returns: str
    as_of: str
    made_of: MadeOf | None = Field(default=None, description="How `expected` follows from the source rows.")


@dataclass
class Tally:
    """Adds up one control total, record by record."""

    total: ControlTotal
    made_of: MadeOf | None = None
    """Needed where the figure is `AUTO`."""
    records: int = 0
    amount: Decimal = Decimal(0)
    unreadable: int = 0

    def add(self, values: Values) -> None:
        """Count a record that was loaded, if the total's filter takes it. A field without value adds nothing."""
        if any(values.get(field) not in wanted for field, wanted in self.total.where.items()):
            return
        self.records += 1
        held = values.get(self.total.field) if self.total.field is not None else "1"
        if held is None:
            return
        try:
            self.amount += Decimal(held)
        except InvalidOperation:
            self.unreadable += 1

    def result(self) -> ControlTotalResult:
        """The figure beside the legacy system's."""
        total = self.total
        expected = self.made_of.expected if self.made_of else Decimal(total.expected)
        difference = self.amount - expected
        return ControlTotalResult(
            name=total.name,
            entity=total.entity,
            measure=total.measure,
            field=total.field,
            expected=plain(expected) if self.made_of else total.expected,
            observed=plain(self.amount),
            difference=plain(difference),
            tolerance=total.tolerance,
            records=self.records,
            unreadable=self.unreadable,
            agrees=self.unreadable == 0 and abs(difference) <= Decimal(total.tolerance),
            tax=total.tax,
            status=total.status,
            returns=total.returns,
            as_of=total.as_of,
            made_of=self.made_of,
        )


def due_totals(
    spec: ProjectSpec, wave: str, *, layer: str | None = None, entities: Iterable[str] | None = None
) -> tuple[ControlTotal, ...]:
    """The control totals that the load of a wave must reach, of one layer or entity, or of all."""
    last = spec.waves[-1].name
    wanted = None if entities is None else set(entities)
    return tuple(
        total
        for declared in spec.layers
        if layer in (None, declared.name)
        for total in declared.control_totals
        if (total.wave or last) == wave and (wanted is None or total.entity in wanted)
    )


def tallied(tallies: Sequence[Tally], observed: Path, migration_keys: pa.Array) -> list[ControlTotalResult]:
    """Work out an entity's control totals from what was read back.

    Args:
        tallies: Of this entity, empty.
        observed: As `rollout.verify.observe.observe` wrote it.
        migration_keys: Of the records that count.
    """
    totals = [tally.total for tally in tallies]
    columns = {"_migration_key", *(field for total in totals for field in (total.field, *total.where) if field)}
    for batch in pq.ParquetFile(observed).iter_batches(columns=sorted(columns)) if tallies else ():
        for row in batch.filter(pc.is_in(batch["_migration_key"], migration_keys)).to_pylist():
            for tally in tallies:
                tally.add(row)
    return [tally.result() for tally in tallies]


def measured(results: Sequence[ControlTotalResult]) -> Measurement:
    """How many control totals are off; the evidence is their number."""
    off = [result for result in results if not result.agrees]
    return Measurement(
        metric=CONTROL_TOTALS_OFF,
        value=float(len(off)) if results else None,
        evidence=len(results),
        detail="; ".join(_told(result) for result in off),
    )


def _told(result: ControlTotalResult) -> str:
    unreadable = f", {result.unreadable} not readable" if result.unreadable else ""
    return f"{result.name}: {result.observed} of {result.expected} ({result.difference}){unreadable}"


def plain(number: Decimal) -> str:
    """Without exponent or trailing zeros."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if number == 0 else text
