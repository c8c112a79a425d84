"""What people decided about rows, as planning and verification heed it: values put right, rows left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rollout.journal import crosswalk, row_decisions
from rollout.journal.crypto import Sealer
from rollout.journal.row_decisions import Repair, RowDecision
from rollout.load.decided import skip_row
from rollout.load.plan import PlannedRow
from rollout.model.choice import GIVING_UP
from rollout.phases.context import PhaseContext
from rollout.phases.golden import GoldenRecord
from rollout.phases.numbers import with_numbers


class Repairs:
    """The newest decisions about a target's rows. Read once an entity, when it is first asked for.

    Args:
        context: The phase's context.
        target_name: The target; None: the one that is planned.
    """

    def __init__(self, context: PhaseContext, target_name: str | None = None) -> None:
        self._context = context
        self._journal = context.journal
        self._target = target_name if target_name is not None else context.target("plan")[0]
        self._sealers: dict[str, Sealer] = {}
        self._decisions: dict[str, dict[str, RowDecision]] = {}

    def apply(self, entity: str, records: Sequence[GoldenRecord]) -> Sequence[GoldenRecord]:
        """Golden records with the values that people put right, as long as the source says what it said then."""
        repaired = {decision.golden_key: decision for decision in self.of(entity).values() if decision.repairs}
        if not repaired:
            return records
        by_key = self.about(entity, [record.golden_key for record in records])
        return [
            _repaired(record, decision.repairs)
            if (decision := by_key.get(record.golden_key)) and decision.repairs
            else record
            for record in records
        ]

    def left_out(self, entity: str, record: GoldenRecord, migration_key: str) -> PlannedRow | None:
        """The row of a record that a person said is not to be loaded; None of all others."""
        decision = self.of(entity).get(migration_key)
        if decision is None or decision.action not in GIVING_UP:
            return None
        return skip_row(migration_key, record.golden_key, decision.action)

    def of(self, entity: str) -> Mapping[str, RowDecision]:
        """The newest decision about each row, by migration key."""
        if entity not in self._decisions:
            with self._journal.transaction() as connection:
                stored = row_decisions.newest(connection, self._journal.project_id, self._target, entity)
            self._decisions[entity] = {
                key: decision.opened(
                    self._sealer(decision.key_id).open(decision.values, row_decisions.place(entity, key))
                    if decision.key_id and decision.values
                    else {}
                )
                for key, decision in stored.items()
            }
        return self._decisions[entity]

    def golden_path(self, entity: str, golden: Path) -> Path:
        """A golden stage with the values that people put right, and numbers: the stage itself, or a copy beside it."""
        is_numbered = self._context.project.spec.entities[entity].number is not None
        if not is_numbered and not any(decision.repairs for decision in self.of(entity).values()):
            return golden
        table = with_numbers(self._context, entity, pq.read_table(golden))
        by_key = self.about(entity, table["_golden_key"].to_pylist())
        repaired = {key: decision for key, decision in by_key.items() if decision.repairs}
        places = {key: at for at, key in enumerate(table["_golden_key"].to_pylist()) if key in repaired}
        for field in sorted({name for decision in repaired.values() for name in decision.repairs}):
            if field not in table.column_names:
                continue
            cells = table[field].to_pylist()
            for key, at in places.items():
                repair = repaired[key].repairs.get(field)
                if repair and cells[at] == repair.was:
                    cells[at] = repair.now
            table = table.set_column(table.column_names.index(field), field, pa.array(cells, pa.string()))
        path = golden.with_name(f"repaired-{golden.name}")
        draft = path.with_suffix(".tmp")
        pq.write_table(table, draft)
        draft.chmod(0o600)
        draft.replace(path)
        return path

    def about(self, entity: str, golden_keys: Sequence[str]) -> dict[str, RowDecision]:
        """The newest decisions about golden records, by golden key."""
        with self._journal.transaction() as connection:
            keys = crosswalk.keys(connection, self._journal.project_id, entity, golden_keys)
        decisions = self.of(entity)
        return {golden: decisions[key] for golden, key in keys.items() if key in decisions}

    def _sealer(self, key_id: str) -> Sealer:
        if key_id not in self._sealers:
            self._sealers[key_id] = self._journal.sealer(key_id)
        return self._sealers[key_id]


def repaired_values(values: Mapping[str, str | None], repairs: Mapping[str, Repair]) -> dict[str, str | None]:
    """Values with those put right that the source still gives as it did when somebody did so."""
    return {
        name: repair.now if (repair := repairs.get(name)) and repair.was == value else value
        for name, value in values.items()
    }


def _repaired(record: GoldenRecord, repairs: Mapping[str, Repair]) -> GoldenRecord:
    return record._replace(
        values=repaired_values(record.values, repairs), parents=repaired_values(record.parents, repairs)
    )
