"""What verification reads: the journal's outcomes, everything the target holds, and the sample, row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.cleanse.chunk import cleanse_chunk
from rollout.cleanse.rules import compile_mapping, compile_rules
from rollout.errors import ConfigError, DriftError
from rollout.journal.outcomes import outcome_rows
from rollout.journal.overlay import overlay_of
from rollout.journal.plans import FORWARD, PlanRecord, Plans
from rollout.journal.rows import merge_bases
from rollout.load.merge_base import is_left_to_people
from rollout.load.plan import Action
from rollout.load.work import row_place
from rollout.mapping.spec import SourceSpec
from rollout.model.entity import FieldSpec, Values
from rollout.model.outcome import LOADED
from rollout.model.target import TargetRecord
from rollout.phases.cleanse import transform_context
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.phases.golden import golden_paths
from rollout.phases.repairs import Repairs, repaired_values
from rollout.project.loader import Project
from rollout.project.spec import ProjectSpec
from rollout.verify.observe import observe
from rollout.verify.recheck import Expectation, wrong_fields
from rollout.verify.reconcile import CROSSWALK, KEPT, EntityData
from rollout.verify.sample import SampleBound, bound, draw, sample_size

_KEYS = 5_000
"""Keys looked up in the journal at once."""
_KEEPING = (Action.UPDATE, Action.UNCHANGED, Action.ADOPT)
"""What a plan may do with a record and leave some of its fields to people."""


def judged_fields(spec: ProjectSpec, entity: str) -> Mapping[str, FieldSpec]:
    """An entity's fields; the number that the target gives itself is nothing to compare."""
    declared, number = spec.entities[entity].fields, spec.entities[entity].number
    if number is None or number.authority != "crm":
        return declared
    return {**declared, number.field: declared[number.field].model_copy(update={"verify": False})}


def loaded_plan(context: PhaseContext, target_name: str, wave: str | None) -> PlanRecord:
    """The plan whose load of a wave was begun last; what it rests on is still at hand.

    Raises:
        ConfigError: Nothing was loaded yet.
        DriftError: The data were cleansed anew since the plan was made.
    """
    with context.journal.transaction() as connection:
        plan = Plans(context.journal.project_id).latest_begun(connection, target_name, wave=wave)
    if plan is None:
        what = "nothing" if wave is None else f"nothing of wave '{wave}'"
        raise ConfigError(f"{what} was loaded into '{target_name}' yet", hint="run `rollout load` first")
    cleansing = context.journal.latest_run("cleanse")
    rested_on = {"sources": plan.inputs["sources"], "rules": plan.inputs["rules"]}
    if cleansing is None or cleansing.summary.get("inputs") != rested_on:
        raise DriftError(
            f"the data were cleansed anew since plan {plan.plan_id} was made: what was loaded is no longer at hand",
            hint="run `rollout plan`, have it approved and load it; or restore the sources and run `rollout cleanse`",
        )
    return plan


@dataclass(frozen=True)
class ReadBack:
    """Reads one target for one run of the verification."""

    context: PhaseContext
    plan: PlanRecord
    target: TargetConnector
    run_id: str

    def entity(self, entity: str) -> tuple[EntityData, int]:
        """One entity's two sides, and how many records the target says it holds."""
        fields = judged_fields(self.context.project.spec, entity)
        path = self.context.project.workspace.stages / entity / f"observed-{self.run_id}.parquet"
        counted = self.target.count(entity)
        with shown(self.context.progress, f"read back {entity}", counted, "records") as progress:
            observe(self.target.read_all(entity), list(fields), path, advance=progress.advance)
        golden = self.repairs.golden_path(entity, golden_paths(self.context)[entity])
        return EntityData(entity, fields, golden, self.crosswalk(entity), path, carried=self._carried(entity)), counted

    def _carried(self, entity: str) -> tuple[str, ...]:
        """How the keys begin that syncs give to records of an entity."""
        integration = self.context.project.spec.integration
        syncs = integration.syncs.values() if integration else ()
        return tuple(sync.key_prefix for sync in syncs if sync.entity == entity)

    def there(self, entity: str, target_ids: Sequence[str]) -> set[str]:
        """Of these records those that the target has now."""
        size = self.target.capabilities.max_read_keys
        parts = (target_ids[start : start + size] for start in range(0, len(target_ids), size))
        return {target_id for part in parts for target_id in self.target.read_by_ids(entity, part)}

    def kept(self, entity: str, fields_path: Path) -> pa.Table:
        """Of the differences found, the fields that the approved plans leave to the people who changed them."""
        left = set(pc.unique(pq.read_table(fields_path, columns=["migration_key"])["migration_key"]).to_pylist())
        found: list[dict[str, str]] = []
        for plan in self._loads():  # the one begun last that has a record speaks of it
            by_key = self._kept_by(plan, entity, sorted(left))
            found += [{"migration_key": key, "field": name} for key, names in by_key.items() for name in names]
            left -= by_key.keys()
        found += self._left_to_people(entity, pq.read_table(fields_path, columns=["migration_key", "field"]))
        pairs = sorted({(row["migration_key"], row["field"]) for row in found})
        return pa.Table.from_pylist([{"migration_key": key, "field": name} for key, name in pairs], schema=KEPT)

    def _loads(self) -> list[PlanRecord]:
        """The wave's plans that load records, topmost first."""
        journal, plan = self.context.journal, self.plan
        with journal.transaction() as connection:
            overlay = overlay_of(connection, journal.project_id, plan.target, plan.wave)
        return [plan for plan in overlay.plans if plan.kind in FORWARD] if overlay else []

    def _kept_by(self, plan: PlanRecord, entity: str, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The fields that a plan leaves to people, of those of these records that it has."""
        sealer, plans = self.context.journal.sealer_if_kept(plan.key_id), Plans(self.context.journal.project_id)
        found: dict[str, tuple[str, ...]] = {}
        if sealer is None:
            return found  # nobody can say any more: what differs is told
        for start in range(0, len(keys), _KEYS):
            with self.context.journal.transaction() as connection:
                rows = plans.rows_by_key(connection, plan.plan_id, entity, keys[start : start + _KEYS])
            for key, row in rows.items():
                if row.action in _KEEPING:
                    payload = sealer.open(row.payload, row_place(plan.plan_id, entity, key))
                    found[key] = tuple(payload.get("kept", ()))
        return found

    def _left_to_people(self, entity: str, differing: pa.Table) -> list[dict[str, str]]:
        """The differing fields that an earlier plan left to people, and that no later one had to speak of."""
        wanted: dict[str, list[str]] = {}
        for row in differing.to_pylist():
            wanted.setdefault(row["migration_key"], []).append(row["field"])
        keys, journal = list(wanted), self.context.journal
        found: list[dict[str, str]] = []
        for start in range(0, len(keys), _KEYS):
            with journal.transaction() as connection:
                bases = merge_bases(
                    connection, journal.project_id, self.plan.target, entity, keys[start : start + _KEYS]
                )
            found += [
                {"migration_key": key, "field": name}
                for key, base in bases.items()
                for name in wanted[key]
                if is_left_to_people(base.get(name, ""))
            ]
        return found

    @cached_property
    def repairs(self) -> Repairs:
        """What people put right: the target is to hold that."""
        return Repairs(self.context, self.plan.target)

    def crosswalk(self, entity: str) -> pa.Table:
        """Every migration key that the target has or should have from us: schema `CROSSWALK`."""
        journal = self.context.journal
        with journal.transaction() as connection:
            rows = outcome_rows(connection, journal.project_id, self.plan, entity)
            batches = [
                pa.RecordBatch.from_arrays(
                    [pa.array(column, pa.string()) for column in zip(*batch, strict=True)], schema=CROSSWALK
                )
                for batch in rows
            ]
        return pa.Table.from_batches(batches, schema=CROSSWALK)


@dataclass(frozen=True)
class SampleLook:
    """What looking at the sample's rows one by one showed."""

    bound: SampleBound
    wrong: Mapping[str, tuple[str, ...]]
    """Wrong fields by golden key; ``*``: the record as a whole."""
    derived: int
    """Rows that were worked out anew from the legacy row itself."""


class Sampler:
    """Draws an entity's sample and looks at its rows, by key, in the target itself."""

    def __init__(
        self, context: PhaseContext, target: TargetConnector, data: Mapping[str, EntityData], repairs: Repairs
    ) -> None:
        self._repairs = repairs
        self._context = context
        self._target = target
        self._data = data

    def look(self, entity: str) -> SampleLook:
        """Draw, read each row through `read_by_keys`, compare."""
        rule = self._context.project.spec.verify
        data = self._data[entity]
        loaded = pc.is_in(data.crosswalk["state"], pa.array([bucket.value for bucket in LOADED]))
        population = data.crosswalk.filter(loaded)
        size = sample_size(
            population.num_rows,
            share=rule.share,
            max_wrong_share=rule.max_wrong_share,
            confidence=rule.confidence,
        )
        keys = draw(population["migration_key"].to_pylist(), size, seed=rule.seed)
        golden_of = dict(
            zip(population["migration_key"].to_pylist(), population["golden_key"].to_pylist(), strict=True)
        )
        expected = {row.migration_key: row for row in self._expected(data, {key: golden_of[key] for key in keys})}
        held = self._read(entity, keys)
        wrong = {}
        for key in keys:
            row = expected.get(key)
            fields = ("*",) if row is None else wrong_fields(row, held.get(key, ()), data.fields)
            if fields:
                wrong[golden_of[key]] = fields
        return SampleLook(
            bound=bound(population.num_rows, size, len(wrong), confidence=rule.confidence),
            wrong=wrong,
            derived=sum(row.derived is not None for row in expected.values()),
        )

    def _read(self, entity: str, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        capabilities = self._target.capabilities
        size = capabilities.max_read_keys
        parts = [keys[start : start + size] for start in range(0, len(keys), size)]
        found: dict[str, Sequence[TargetRecord]] = {}
        with (
            shown(self._context.progress, f"sample of {entity}", len(keys), "records") as progress,
            ThreadPoolExecutor(max_workers=capabilities.concurrency) as pool,
        ):
            for part, records in zip(
                parts, pool.map(lambda part: self._target.read_by_keys(entity, part), parts), strict=True
            ):
                found.update(records)
                progress.advance(len(part))
        return found

    def _expected(self, data: EntityData, golden_of: Mapping[str, str]) -> Iterator[Expectation]:
        """What the drawn rows must look like. A key without golden record is left out: its row is wrong."""
        references = {name: spec.references for name, spec in data.fields.items() if spec.references is not None}
        rows = _where(data.golden, "_golden_key", list(golden_of.values())).to_pylist()
        by_golden = {row["_golden_key"]: row for row in rows}
        parents = {
            name: self._target_ids(parent, [row[name] for row in rows if row[name] is not None])
            for name, parent in references.items()
        }
        single = [key for key, row in by_golden.items() if row.get("_members") == 1]
        derived = self._derived(data.entity, single)
        kept: dict[str, set[str]] = {}
        for item in data.kept.to_pylist():
            kept.setdefault(item["migration_key"], set()).add(item["field"])
        for key, golden in golden_of.items():
            if row := by_golden.get(golden):
                yield Expectation(
                    migration_key=key,
                    golden_key=golden,
                    values={name: row[name] for name in data.fields if name not in references},
                    # A parent without target id is no value a reference could hold.
                    parents={
                        name: None if row[name] is None else parents[name].get(row[name], f"no record for {row[name]}")
                        for name in references
                    },
                    derived=self._with_given(data.entity, derived.get(golden), row),
                    kept=frozenset(kept.get(key, ())),
                )

    def _target_ids(self, entity: str, golden_keys: Sequence[str]) -> dict[str, str]:
        crosswalk = self._data[entity].crosswalk
        found = crosswalk.filter(pc.is_in(crosswalk["golden_key"], pa.array(golden_keys, pa.string())))
        return {row["golden_key"]: row["target_id"] for row in found.to_pylist() if row["target_id"] is not None}

    def _with_given(self, entity: str, derived: Values | None, golden: Values) -> Values | None:
        """With the values that no legacy row holds: a number of its own, and what was decided about dormant ones."""
        if derived is None:
            return None
        spec = self._context.project.spec
        number, dormant = spec.entities[entity].number, spec.dormant.get(entity)
        given = {number.field: golden.get(number.field)} if number and number.authority == "rollout" else {}
        for choice in (dormant.freeze, dormant.pool) if dormant else ():
            given |= {name: value for name, value in choice.items() if golden.get(name) == value}
        return {**derived, **given}

    def _derived(self, entity: str, source_keys: Sequence[str]) -> dict[str, Values]:
        """The rows' values worked out anew from the raw stage, past the clean and golden ones."""
        project = self._context.project
        cleansing = self._context.journal.latest_run("cleanse")
        if cleansing is None or not source_keys:
            return {}
        found: dict[str, Values] = {}
        sources = {source.name: source for source in project.spec.entities[entity].sources}
        for file in cleansing.summary["entities"][entity]["raw_files"]:
            table = _where(project.workspace.stages / file, "_source_key", source_keys)
            if table.num_rows == 0:
                continue
            clean = mapped_chunk(project, entity, sources[str(table["_source"][0])], table)
            found |= {row["_source_key"]: row for row in clean.to_pylist()}
        decided = self._repairs.about(entity, list(found)) if found else {}
        return found | {key: repaired_values(found[key], decision.repairs) for key, decision in decided.items()}


def mapped_chunk(
    project: Project, entity: str, source: SourceSpec, table: pa.Table, fields: Collection[str] | None = None
) -> pa.Table:
    """Rows of a raw stage through their mapping and the rules over whole rows; those that cannot be read are left out.

    Args:
        project: The project.
        entity: What the rows become.
        source: Where they are from.
        table: Of the raw stage.
        fields: Only these, with or without value; a row is left out for none of the others, nor for a rule over
            whole rows. None: all.
    """
    mapping, declared = project.mappings[entity, source.name], project.spec.entities[entity].fields
    if fields is not None:
        rules = (rule for rule in mapping.fields if rule.target in fields)
        mapping = mapping.model_copy(
            update={"fields": tuple(rule.model_copy(update={"required": False}) for rule in rules)}
        )
        declared = {name: declared[name].model_copy(update={"required": False}) for name in declared if name in fields}
    context = transform_context(project, entity, source)
    plans = compile_mapping(mapping, declared, context)
    for column in dict.fromkeys(column for plan in plans if plan.rule for column in plan.rule.columns):
        if column not in table.column_names:  # no file of the source has it: the mapping says that it may lack
            table = table.append_column(column, pa.nulls(table.num_rows, pa.string()))
    whole = project.spec.entities[entity].rules if fields is None else ()
    compiled = compile_rules(whole, declared, context, where=entity)
    return cleanse_chunk(table, plans, context, rules=compiled, priority=source.priority).clean


def _where(path: Path, column: str, values: Sequence[str]) -> pa.Table:
    """The rows of a stage whose text column holds one of the values."""
    return pq.read_table(path, filters=pc.field(column).isin(pa.array(values, pa.string())))
