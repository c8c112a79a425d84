"""`plan`: what a load would change, field by field, with hash, counts and estimate. Writes nothing to the target."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal import crosswalk, rows
from rollout.journal.crypto import Sealer, canonical_json
from rollout.journal.engine import Connection
from rollout.journal.leases import hold
from rollout.journal.plans import Plans, StoredRow
from rollout.load.plan import Action, Estimate, PlanHash, PlannedRow, Reference, estimate, plan_row
from rollout.load.work import image_place, row_place
from rollout.model.base import Frozen
from rollout.model.entity import Values
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.drift import plan_inputs
from rollout.phases.golden import GoldenRecord, golden_path, read_golden
from rollout.phases.plan_file import PlanFile
from rollout.phases.settle import lease_ttl_s, load_lease, settle_open_lines
from rollout.project.spec import TargetSpec

BATCH_ROWS = 2_000
"""Golden records that are planned at once."""


class EntityPlan(Frozen):
    """What the plan does with one entity."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    conflict: int = 0
    fields: dict[str, int] = Field(default_factory=dict, description="Values that updates change, by field.")
    kept: dict[str, int] = Field(default_factory=dict, description="Fields people changed in the CRM; theirs stay.")
    conflicts: dict[str, int] = Field(default_factory=dict, description="Conflicts by reason code.")


class PlanSummary(Frozen):
    """A plan as people see it before they approve it."""

    plan_id: str
    plan_hash: str
    target: str
    wave: str
    entities: dict[str, EntityPlan]
    calls: int
    estimate_s: float
    estimate_basis: str
    file: str = Field(description="The plan field by field, relative to the workspace; personal data masked.")


class Planner:
    """Plans one entity after the other within one transaction: a plan is whole or not there."""

    def __init__(
        self, context: PhaseContext, connection: Connection, target: TargetConnector, target_name: str, wave: str
    ) -> None:
        self._context = context
        self._connection = connection
        self._target = target
        self._target_name = target_name
        self._project_id = context.journal.project_id
        self._wave = wave
        self._sealers: dict[str, Sealer] = {}
        self.call_s: list[float] = []
        """What reading calls took."""

    def plan_entity(self, entity: str, add: _Adder) -> EntityPlan:
        """Plan every golden record of an entity."""
        undecided = crosswalk.assign(self._connection, self._project_id, entity, self._wave)
        spec = self._context.project.spec.entities[entity]
        counts: Counter[Action] = Counter()
        fields: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        conflicts: Counter[str] = Counter()
        with shown(self._context.progress, f"plan {entity}", None, "rows") as progress:
            for batch in read_golden(golden_path(self._context, entity), spec, batch_rows=BATCH_ROWS):
                planned = self._plan_batch(entity, batch, undecided)
                add(entity, planned)
                for row in planned:
                    counts[row.action] += 1
                    kept.update(row.kept)
                    if row.action is Action.UPDATE:
                        fields.update(list(row.old))
                    if row.action is Action.CONFLICT:
                        conflicts[row.reason_code or ""] += 1
                progress.advance(len(batch))
        return EntityPlan(
            **{action.value: counts[action] for action in Action},
            fields=dict(fields),
            kept=dict(kept),
            conflicts=dict(conflicts),
        )

    def _plan_batch(self, entity: str, batch: Sequence[GoldenRecord], undecided: dict[str, str]) -> list[PlannedRow]:
        keys = self._keys(entity, [record.golden_key for record in batch])
        references = self._references(entity, batch)
        parent_ids = self._parent_ids(references)
        decided = [keys[record.golden_key] for record in batch if record.golden_key not in undecided]
        current = self._read(entity, decided)
        bases = self._bases(entity, decided)
        planned = []
        for record, record_references in zip(batch, references, strict=True):
            if record.golden_key in undecided:
                planned.append(
                    PlannedRow(
                        crosswalk.UNDECIDED + record.golden_key,
                        record.golden_key,
                        Action.CONFLICT,
                        reason_code=undecided[record.golden_key],
                        message="matching joined or parted records that are already loaded: a person decides",
                    )
                )
                continue
            key = keys[record.golden_key]
            planned.append(
                plan_row(
                    key,
                    record.golden_key,
                    record.values,
                    record_references,
                    current=current.get(key, ()),
                    base=bases.get(key),
                    parent_ids=parent_ids,
                )
            )
        return planned

    def _keys(self, entity: str, golden_keys: Sequence[str]) -> dict[str, str]:
        return crosswalk.keys(self._connection, self._project_id, entity, golden_keys)

    def _references(self, entity: str, batch: Sequence[GoldenRecord]) -> list[dict[str, Reference]]:
        fields = self._context.project.spec.entities[entity].references
        parents = {
            name: self._keys(parent, sorted({r.parents[name] for r in batch if name in r.parents}))
            for name, parent in fields.items()
        }
        return [
            {name: Reference(fields[name], parents[name][golden]) for name, golden in record.parents.items()}
            for record in batch
        ]

    def _parent_ids(self, references: Sequence[dict[str, Reference]]) -> dict[Reference, str]:
        by_entity: dict[str, set[str]] = {}
        for row in references:
            for reference in row.values():
                by_entity.setdefault(reference.entity, set()).add(reference.migration_key)
        return {
            Reference(entity, key): target_id
            for entity, keys in by_entity.items()
            for key, target_id in crosswalk.target_ids(
                self._connection, self._project_id, entity, self._target_name, sorted(keys)
            ).items()
        }

    def _read(self, entity: str, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        size = self._target.capabilities.max_read_keys
        parts = [keys[start : start + size] for start in range(0, len(keys), size)]
        found: dict[str, Sequence[TargetRecord]] = {}
        with ThreadPoolExecutor(max_workers=self._target.capabilities.concurrency) as pool:
            for records in pool.map(lambda part: self._timed_read(entity, part), parts):
                found.update(records)
        return found

    def _timed_read(self, entity: str, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        begun_s = time.perf_counter()
        records = dict(self._target.read_by_keys(entity, keys))
        self.call_s.append(time.perf_counter() - begun_s)
        return records

    def _bases(self, entity: str, keys: Sequence[str]) -> dict[str, Values]:
        """The after-images of our latest writes."""
        loaded = rows.loaded_records(self._connection, self._project_id, self._target_name, entity, keys)
        bases: dict[str, Values] = {}
        for key, record in loaded.items():
            if record.after_image is not None:
                place = image_place(record.plan_id, entity, key, record.attempt, "after")
                bases[key] = self._sealer(record.key_id).open(record.after_image, place)
        return bases

    def _sealer(self, key_id: str) -> Sealer:
        if key_id not in self._sealers:
            self._sealers[key_id] = self._context.journal.sealer(key_id)
        return self._sealers[key_id]


class _Adder:
    """Seals planned rows into the journal, hashes them, and writes them to the plan's file."""

    def __init__(
        self, connection: Connection, plans: Plans, plan_id: str, sealer: Sealer, plan_hash: PlanHash, file: PlanFile
    ) -> None:
        self._connection = connection
        self._plans = plans
        self._plan_id = plan_id
        self._sealer = sealer
        self._hash = plan_hash
        self._file = file
        self._ordinals: Counter[str] = Counter()

    def __call__(self, entity: str, planned: Sequence[PlannedRow]) -> None:
        stored = []
        for row in planned:
            payload = row.payload()
            stored.append(
                StoredRow(
                    ordinal=self._ordinals[entity],
                    migration_key=row.migration_key,
                    golden_key=row.golden_key,
                    action=row.action.value,
                    reason_code=row.reason_code,
                    digest=self._sealer.digest(payload),
                    payload=self._sealer.seal(payload, row_place(self._plan_id, entity, row.migration_key)),
                )
            )
            self._ordinals[entity] += 1
        self._plans.add_rows(self._connection, self._plan_id, entity, stored)
        self._hash.add(entity, ((row.migration_key, row.action, row.digest) for row in stored))
        self._file.add(entity, planned)


def run_plan(context: PhaseContext, *, wave: str = "all") -> PlanSummary:
    """Make a plan for the target of the phase `plan`.

    Raises:
        ConfigError: Nothing was cleansed, or sources or rules changed since: cleanse again.
        Retryable: The target or the database cannot be reached.
    """
    target_name, _, target = context.target("plan")
    # Nobody may load while a plan is made: what it sees must not change under it.
    with hold(context.journal, load_lease(target_name), ttl_s=lease_ttl_s(target)) as lease:
        settle_open_lines(context, target_name, target, lease)
        inputs = plan_inputs(context, target)
        _refuse_stale_cleansing(context, inputs)
        with context.journal.running("plan", wave=wave) as run:
            summary = _make_plan(context, inputs, wave)
            run.summary = summary.model_dump(mode="json")
    return summary


def _make_plan(context: PhaseContext, inputs: dict[str, Any], wave: str) -> PlanSummary:
    target_name, target_spec, target = context.target("plan")
    journal, plans = context.journal, Plans(context.journal.project_id)
    sealer = journal.new_data_key()
    plan_hash = PlanHash(canonical_json(inputs))
    with journal.transaction() as connection:
        plan_id = plans.create(connection, target=target_name, wave=wave, key_id=sealer.key_id)
        planner = Planner(context, connection, target, target_name, wave)
        with PlanFile(context.project, plan_id) as file:
            add = _Adder(connection, plans, plan_id, sealer, plan_hash, file)
            entities = {name: planner.plan_entity(name, add) for name in context.project.spec.load_order}
        cost = _estimate(entities, target, planner.call_s, target_spec)
        plans.seal(
            connection,
            plan_id,
            plan_hash=plan_hash.hexdigest(),
            inputs=inputs,
            counts={
                name: {action.value: getattr(plan, action.value) for action in Action}
                for name, plan in entities.items()
            },
            estimate={"calls": cost.calls, "seconds": cost.seconds, "basis": cost.basis},
        )
        plans.supersede_older(connection, plan_id, target_name)
    return PlanSummary(
        plan_id=plan_id,
        plan_hash=plan_hash.hexdigest(),
        target=target_name,
        wave=wave,
        entities=entities,
        calls=cost.calls,
        estimate_s=cost.seconds,
        estimate_basis=cost.basis,
        file=file.relative,
    )


def _refuse_stale_cleansing(context: PhaseContext, inputs: dict[str, Any]) -> None:
    """A plan is made from the sources and rules as they are; a cleansing of older ones must be repeated."""
    run = context.journal.latest_run("cleanse")
    if run is None:
        raise ConfigError("nothing was cleansed yet", hint="run `rollout cleanse` first")
    if run.summary.get("inputs") != {"sources": inputs["sources"], "rules": inputs["rules"]}:
        raise ConfigError(
            "the sources or the rules changed since the last cleansing", hint="run `rollout cleanse`, then plan again"
        )


def _estimate(
    entities: dict[str, EntityPlan], target: TargetConnector, call_s: Sequence[float], settings: TargetSpec
) -> Estimate:
    capabilities = target.capabilities
    return estimate(
        {name: plan.create + plan.update for name, plan in entities.items()},
        batch_rows=min(settings.batch_rows or capabilities.max_batch_rows, capabilities.max_batch_rows),
        concurrency=min(settings.concurrency or capabilities.concurrency, capabilities.concurrency),
        call_s=sum(call_s) / len(call_s) if call_s else 0.0,
        capabilities=capabilities,
    )
