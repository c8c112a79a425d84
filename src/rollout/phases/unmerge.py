"""`unmerge`, first half: a row that was merged away is to become a record of its own, as a plan that a person approves.

The plan creates the record, with the values of its own row. What the other record has from it is listed for review:
cleansed anew the rows are kept apart, and the next delta puts that record and its children right, three ways.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal import crosswalk
from rollout.journal.apart import MergedRow, merged_rows
from rollout.journal.crypto import canonical_json
from rollout.journal.leases import Lease
from rollout.journal.plans import Plans
from rollout.load.plan import LOADING, Action, PlanHash, PlannedRow, Reference
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.drift import target_inputs
from rollout.phases.leases import working_on
from rollout.phases.plan import prepare_to_plan
from rollout.phases.plan_file import PlanFile
from rollout.phases.plan_writer import PlanWriter
from rollout.phases.quota import estimated, pace
from rollout.phases.references import golden_column

KIND = "unmerge"


class UnmergePlanSummary(Frozen):
    """A plan that makes a merged row a record of its own."""

    plan_id: str
    plan_hash: str
    target: str
    wave: str
    entity: str
    source_key: str = Field(description="The row that becomes a record.")
    merged_into: str = Field(description="The row that its record was made of until now.")
    target_id: str = Field(description="That record in the target.")
    review: tuple[str, ...] = Field(description="Fields that the record has from this row alone: the next delta tells.")
    children: dict[str, int] = Field(description="Records that belong to this row and hang on that record, by entity.")
    calls: int
    estimate_s: float
    file: str = Field(description="The plan field by field, relative to the workspace; personal data masked.")


def plan_unmerge(context: PhaseContext, key: str, *, entity: str | None = None) -> UnmergePlanSummary:
    """Plan to take a row out of the record that it was merged into.

    Args:
        context: The phase's context.
        key: `source:row key`, or the row key alone where it is clear.
        entity: Where several entities have such a row.

    Raises:
        ConfigError: There is no such merged row, several, or its record is not loaded: matching can then be corrected.
        ApprovalError: An undo or unmerge has begun and is not finished.
        Retryable: The target or the database cannot be reached.
    """
    target_name, _, target = context.target("load")
    with working_on(context, target_name, target) as lease:
        prepare_to_plan(context, target_name, target, lease)
        row = _chosen(context, target_name, key, entity)
        with context.journal.running(KIND, entity=row.entity, wave=row.wave) as run:
            summary = _make(context, row, lease)
            run.summary = summary.model_dump(mode="json")
    return summary


def _chosen(context: PhaseContext, target_name: str, key: str, entity: str | None) -> MergedRow:
    with context.journal.transaction() as connection:
        found = merged_rows(connection, context.journal.project_id, target_name, key, entity=entity)
    if not found:
        raise ConfigError(
            f"no row '{key}' was merged into another",
            hint="the key is `source:row key` of the row that was merged away; the merge map lists them",
        )
    if len(found) > 1:
        told = ", ".join(f"{row.entity} {row.source_key}" for row in found)
        raise ConfigError(f"several merged rows go by '{key}': {told}", hint="give the whole key, and --entity")
    if found[0].target_id is None:
        raise ConfigError(
            f"the record of '{key}' is not loaded: there is nothing to take apart in the target",
            hint=f"add {found[0].source_key} to match.{found[0].entity}.apart, then cleanse and plan",
        )
    return found[0]


def unmerge_inputs(context: PhaseContext, target_name: str, wave: str, entity: str) -> dict[str, Any]:
    """What such a plan rests on: the target as it is. The row's values are in the plan."""
    _, _, target = context.target("load")
    return {"sources": {}, "rules": {}, **target_inputs(context, target_name, target, wave, (entity,))}


def _make(context: PhaseContext, row: MergedRow, lease: Lease) -> UnmergePlanSummary:
    target_name, _, target = context.target("load")
    journal, plans = context.journal, Plans(context.journal.project_id)
    stages = _Stages(context, row)
    planned = _planned(context, row, stages.own)
    sealer = journal.new_data_key()
    inputs = unmerge_inputs(context, target_name, row.wave, row.entity)
    plan_hash = PlanHash(canonical_json(inputs))
    scope = {"entity": row.entity, "source_key": row.source_key, "merged_into": row.golden_key}
    with journal.transaction() as connection:
        plans.forget_drafts(connection, target_name)
        plan_id = plans.create(
            connection, target=target_name, wave=row.wave, key_id=sealer.key_id, kind=KIND, scope=scope
        )
    with (
        PlanFile(context.project, plan_id) as file,
        PlanWriter(journal, plan_id, sealer, plan_hash, file) as writer,
    ):
        writer.add(row.entity, [planned])
    counts = {row.entity: {action.value: int(action is Action.CREATE) for action in LOADING}}
    cost = estimated(counts, pace(context, target_name, target, call_s=0.0), planning_calls=0)
    with journal.transaction() as connection:
        lease.assert_fence(connection)
        plans.seal(connection, plan_id, plan_hash=plan_hash.hexdigest(), inputs=inputs, counts=counts, estimate=cost)
        plans.supersede_older(connection, plan_id, target_name, row.wave, kind=KIND)
    return UnmergePlanSummary(
        plan_id=plan_id,
        plan_hash=plan_hash.hexdigest(),
        target=target_name,
        wave=row.wave,
        entity=row.entity,
        source_key=row.source_key,
        merged_into=row.golden_key,
        target_id=str(row.target_id),
        review=stages.review(),
        children=stages.children(),
        calls=cost["calls"],
        estimate_s=cost["seconds"],
        file=file.relative,
    )


def _planned(context: PhaseContext, row: MergedRow, own: Mapping[str, Any]) -> PlannedRow:
    """The record that the row becomes, under a migration key that nothing has had before."""
    spec = context.project.spec.entities[row.entity]
    parents = {
        name: (parent, str(own[golden_column(name)]))
        for name, parent in spec.references.items()
        if own[golden_column(name)] is not None
    }
    references = {}
    with context.journal.transaction() as connection:
        for name, (parent, golden_key) in parents.items():
            keys = crosswalk.keys(connection, context.journal.project_id, parent, [golden_key])
            if golden_key not in keys:
                told = f"'{name}' of row '{row.source_key}' leads to a record that was never planned"
                raise ConfigError(told, where=row.entity, hint="plan and load that record first")
            references[name] = Reference(parent, keys[golden_key])
    values = {name: str(own[name]) for name in spec.fields if name not in spec.references and own.get(name) is not None}
    return PlannedRow(str(uuid.uuid4()), row.source_key, Action.CREATE, new=values, references=references)


class _Stages:
    """The row and the record it was merged into, as the latest cleansing has them."""

    def __init__(self, context: PhaseContext, row: MergedRow) -> None:
        self._context, self._row = context, row
        run = context.journal.latest_run("cleanse")
        self._files: Mapping[str, Any] = run.summary["entities"] if run else {}
        clean = {found["_source_key"]: found for found in self._rows("clean", row.source_key, row.golden_key)}
        if row.source_key not in clean:
            raise ConfigError(
                f"the cleansed row '{row.source_key}' is no longer kept", where=row.entity, hint="run `rollout cleanse`"
            )
        self.own = clean[row.source_key]
        self._survivor = clean.get(row.golden_key, {})

    def review(self) -> tuple[str, ...]:
        """Fields that the record lacks by itself, and has from this row."""
        spec = self._context.project.spec.entities[self._row.entity]
        columns = {name: golden_column(name) if name in spec.references else name for name in spec.fields}
        golden = self._golden(self._row.golden_key)
        return tuple(
            name
            for name, column in columns.items()
            if self.own.get(column) is not None
            and golden.get(name) == self.own[column]
            and self._survivor.get(column) is None
        )

    def children(self) -> dict[str, int]:
        """Records whose own row names this row as their parent."""
        row_key = self._row.source_key.partition(":")[2]
        found = {}
        for child, spec in self._context.project.spec.entities.items():
            fields = [name for name, parent in spec.references.items() if parent == self._row.entity]
            path = self._path(child, "clean")
            if not fields or path is None:
                continue
            table = pq.read_table(path, columns=[*fields, *map(golden_column, fields)])
            ours = [
                pc.and_(pc.equal(table[name], row_key), pc.equal(table[golden_column(name)], self._row.golden_key))
                for name in fields
            ]
            if count := sum(int(pc.sum(column).as_py() or 0) for column in ours):
                found[child] = count
        return found

    def _golden(self, golden_key: str) -> Mapping[str, Any]:
        path = self._path(self._row.entity, "golden")
        rows = [] if path is None else pq.read_table(path, filters=pc.field("_golden_key") == golden_key).to_pylist()
        return rows[0] if rows else {}

    def _rows(self, kind: str, *keys: str) -> Sequence[Mapping[str, Any]]:
        path = self._path(self._row.entity, kind)
        wanted = pc.field("_source_key").isin(pa.array(keys, pa.string()))
        return [] if path is None else pq.read_table(path, filters=wanted).to_pylist()

    def _path(self, entity: str, kind: str) -> Any:
        known = self._files.get(entity)
        path = self._context.project.workspace.stages / known[f"{kind}_file"] if known else None
        return path if path is not None and path.exists() else None
