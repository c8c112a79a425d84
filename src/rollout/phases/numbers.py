"""Records' own numbers, such as CUST202603010001: given when a record is planned, the same ever after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.journal import numbers
from rollout.journal.numbers import NumberStyle
from rollout.model.finding import Finding, Level
from rollout.phases.context import PhaseContext
from rollout.phases.golden import GoldenRecord, golden_paths

_SHOWN = 20
"""Records without a number that a finding names."""


class Numbers:
    """Gives records their numbers.

    Args:
        context: The phase's context; a number's day is today in the project's time zone.
    """

    def __init__(self, context: PhaseContext) -> None:
        self._journal = context.journal
        self._entities = context.project.spec.entities
        self._day = context.clock().astimezone(ZoneInfo(context.project.spec.project.time_zone)).date()

    def given(self, entity: str, records: Sequence[GoldenRecord], keys: Mapping[str, str]) -> Sequence[GoldenRecord]:
        """The records with their numbers; where the target gives them, the field is not ours to write.

        Args:
            entity: Of the records.
            records: Records that are planned.
            keys: Their migration keys by golden key.
        """
        spec = self._entities[entity].number
        if spec is None or spec.authority == "erp" or not records:
            return records
        if spec.authority == "crm":
            return [record._replace(values=_without(record.values, spec.field)) for record in records]
        with self._journal.transaction() as connection:
            known = numbers.give(
                connection,
                self._journal.project_id,
                entity,
                [keys[record.golden_key] for record in records],
                style=NumberStyle(spec.prefix, spec.digits),
                day=self._day,
            )
        return [
            record._replace(values={**record.values, spec.field: known[keys[record.golden_key]]}) for record in records
        ]


def with_numbers(context: PhaseContext, entity: str, golden: pa.Table) -> pa.Table:
    """A golden stage with the numbers that its records were given; None where none was."""
    spec = context.project.spec.entities[entity].number
    if spec is None or spec.authority != "rollout":
        return golden
    with context.journal.transaction() as connection:
        known = numbers.by_source_key(connection, context.journal.project_id, entity)
    if not known:
        return golden
    places = pc.index_in(golden["_golden_key"], value_set=pa.array(list(known), pa.string()))
    column = pc.take(pa.array(list(known.values()), pa.string()), places)
    return golden.set_column(golden.column_names.index(spec.field), spec.field, column)


def unnumbered(context: PhaseContext) -> Iterator[Finding]:
    """A finding for each entity whose numbers come from the ERP, of the records that it gave none."""
    paths = golden_paths(context)
    for entity, declared in context.project.spec.entities.items():
        spec = declared.number
        if spec is None or spec.authority != "erp":
            continue
        table = pq.read_table(paths[entity], columns=["_golden_key", spec.field])
        keys = table.filter(pc.is_null(table[spec.field]))["_golden_key"]
        if len(keys):
            named = ", ".join(keys.slice(0, _SHOWN).to_pylist())
            yield Finding(
                id="mapping.number_missing",
                level=Level.WARNING,
                message=f"{len(keys)} records have no number of the ERP: {named}",
                where=f"{entity}.{spec.field}",
                hint="have the ERP number them, or correct the source; they are planned without",
                count=len(keys),
                detail={"entity": entity, "first": keys[0].as_py()},
            )


def _without(values: Mapping[str, str | None], name: str) -> dict[str, str | None]:
    return {field: value for field, value in values.items() if field != name}
