"""`verify`: reads back what the target holds, compares all of it, looks at a sample, and judges the gates.

Two ways lead to the same question and share as little as they can: the reconciliation reads everything in bulk and
compares it set-wise with the golden stage; the sample reads row by row, by key, and works the values of unmerged rows
out anew from the legacy rows.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

import rollout
from rollout.journal.plans import PlanRecord
from rollout.model.base import Frozen
from rollout.model.finding import Finding, Level
from rollout.model.outcome import LOADED
from rollout.model.verdict import CriterionResult, GateResult, Verdict, judge_gate
from rollout.phases.acceptance import DOCUMENT, Verified, acceptance_document, write_acceptance
from rollout.phases.context import PhaseContext, TargetConnector, chosen_entities
from rollout.phases.leases import working_on
from rollout.phases.readback import ReadBack, SampleLook, Sampler, loaded_plan
from rollout.phases.sample_draw import drawn, is_asked, limit_of, sampled_entities, standing
from rollout.phases.stages import engine
from rollout.phases.verify_findings import entity_findings, orphan_findings, people_findings, total_findings
from rollout.phases.verify_totals import tallies_of
from rollout.phases.wave_order import GATES, refuse_unknown_wave
from rollout.project.gates import criteria
from rollout.project.spec import ControlTotal
from rollout.verify.control_totals import ControlTotalResult, due_totals, measured, tallied
from rollout.verify.gates import load_measurements, verify_measurements
from rollout.verify.people import PeopleResult, people_measurements
from rollout.verify.reconcile import EntityData, Orphans, Reconciliation, orphans, reconcile
from rollout.verify.results import SuiteResult


class SampleSummary(Frozen):
    """The acceptance sample over all entities; its bound is that of the entity it proves least of."""

    size: int
    population: int
    wrong: int
    bound: float | None = Field(description="At most this share of each entity is wrong (0 to 1); None: nothing known.")
    confidence: float
    seed: str = Field(description="Rows with the smallest SHA256(seed‖migration key) are drawn.")
    share: float = Field(description="The agreed share, which the bound may enlarge.")
    derived: int = Field(description="Rows worked out anew from the legacy row itself.")


class EntityVerification(Frozen):
    """What verification found of one entity."""

    counted: int = Field(description="Records the target says it holds.")
    reconciliation: Reconciliation
    references: int = Field(description="References of all records in the target, whoever made them.")
    orphans: dict[str, int] = Field(description="By field those that lead to no record.")
    sample_size: int
    sample_wrong: int
    sample_bound: float | None
    expectations: int = Field(description="Expectations evaluated.")
    expectations_failed: tuple[str, ...]


class VerifySummary(Frozen):
    """The answer of `verify`."""

    run_id: str
    target: str
    plan_id: str
    wave: str
    verdict: Verdict = Field(description="FAIL if a gate fails, PASS if all pass, else INCONCLUSIVE.")
    criteria: tuple[CriterionResult, ...] = Field(description="Of all gates, each metric once.")
    gates: tuple[GateResult, ...]
    sample: SampleSummary
    people: tuple[PeopleResult, ...] = Field(
        default=(), description="What people's own check proves, by entity; empty: nobody was asked."
    )
    entities: dict[str, EntityVerification]
    control_totals: tuple[ControlTotalResult, ...] = Field(description="Figures of the legacy system due by now.")
    findings: dict[str, int] = Field(description="Findings by level.")
    reports: tuple[str, ...] = Field(description="Paths of the documents.")
    seconds: float


def run_verify(
    context: PhaseContext, *, entities: Sequence[str] | None = None, wave: str | None = None
) -> VerifySummary:
    """Verify what the latest load of a wave left in the target.

    Records of other waves are neither missing nor extra: they are only counted, and looked up where ours refer to them.

    Args:
        context: The phase's context.
        entities: Only these. Their gates are recorded under names of their own (`verify:account`), and no acceptance
            document is written: a part does not stand for the whole.
        wave: Its name; None: the wave whose load was begun last.

    Raises:
        ConfigError: Nothing was loaded yet, or an entity or wave is unknown.
        DriftError: The data were cleansed anew since the plan was made.
        LeaseHeld: Somebody plans, loads or cleanses: what is read would change while it is compared.
        Retryable: The target or the database cannot be reached.
    """
    begun_s = time.perf_counter()
    target_name, _, target = context.target("verify")
    names = chosen_entities(context, entities)
    if wave is not None:
        refuse_unknown_wave(context, wave)
    # What is loaded between reading and counting would be accounted for, and yet never looked at.
    with working_on(context, target_name, target) as lease:
        plan = loaded_plan(context, target_name, wave)
        with context.journal.running("verify", wave=plan.wave) as run:
            found = _examine(context, plan, target, names, run.run_id)
            found.gates = _judge(context, plan, names, found, partial=entities is not None)
            found.findings = [finding for name in names for finding in found.tell(name)]
            context.journal.add_findings(run.run_id, found.findings)
            with context.journal.transaction() as connection:
                lease.assert_fence(connection)
            for gate in found.gates:
                context.journal.record_gate(run.run_id, gate, wave=plan.wave)
            kept: dict[str, Any] = {}
            if entities is None:
                document = acceptance_document(
                    context,
                    plan,
                    run_id=run.run_id,
                    gates=found.gates,
                    verified=Verified(
                        reconciled=found.reconciled,
                        samples={name: look.bound for name, look in found.looks.items()},
                        findings=found.findings,
                        people=found.people or (),
                        totals=found.totals,
                    ),
                )
                found.reports = write_acceptance(context, document, plan.wave)
                kept = {DOCUMENT: document.model_dump(mode="json")}
            summary = _summary(context, plan, run.run_id, found, time.perf_counter() - begun_s)
            run.summary = {**summary.model_dump(mode="json"), **kept}
    return summary


@dataclass
class _Found:
    """What was found, by entity, and what follows from it."""

    counted: dict[str, int] = field(default_factory=dict)
    reconciled: dict[str, Reconciliation] = field(default_factory=dict)
    looks: dict[str, SampleLook] = field(default_factory=dict)
    concerned: list[str] = field(default_factory=list)
    """The entities that the wave says something about."""
    suites: dict[str, tuple[SuiteResult, ...]] = field(default_factory=lambda: defaultdict(tuple))
    totals: list[ControlTotalResult] = field(default_factory=list)
    orphans: dict[str, Orphans] = field(default_factory=dict)
    people: list[PeopleResult] | None = None
    """None: nobody was asked."""
    gates: tuple[GateResult, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    reports: tuple[str, ...] = ()

    def tell(self, name: str) -> Iterator[Finding]:
        """The findings of one entity."""
        yield from entity_findings(self.reconciled[name], self.counted[name], self.looks[name], self.suites[name])
        yield from orphan_findings(self.orphans[name])
        yield from total_findings([total for total in self.totals if total.entity == name])
        yield from people_findings([result for result in self.people or () if result.entity == name])


def _examine(
    context: PhaseContext, plan: PlanRecord, target: TargetConnector, names: Sequence[str], run_id: str
) -> _Found:
    spec, stages = context.project.spec, context.project.workspace.stages
    parents = {parent for name in names for parent in spec.entities[name].references.values()}
    reader = ReadBack(context, plan, target, run_id)
    found = _Found()
    data: dict[str, EntityData] = {}
    try:
        for name in spec.load_order:
            if name in names or name in parents:
                data[name], found.counted[name] = reader.entity(name)
        with engine(stages, memory_limit="1GB") as connection:
            everything = list(data.values())
            found.reconciled = reconcile(connection, everything, names, folder=stages, tag=run_id)
            found.counted = {name: found.counted[name] for name in names}
            if _leave_to_people(reader, data, found.reconciled):
                found.reconciled = reconcile(connection, list(data.values()), names, folder=stages, tag=run_id)
            found.orphans = {name: orphans(connection, everything, name, there=reader.there) for name in names}
            if is_asked(context):
                people = [drawn(context, name, data[name].crosswalk, data[name].golden)
                          for name in sampled_entities(context, tuple(names))]  # fmt: skip
                found.people = [standing(context, plan, sample) for sample in people]
            found.concerned = _concerned(context, plan, names, found)
            sampler = Sampler(context, target, data, reader.repairs)
            for name in names:
                found.looks[name] = sampler.look(name)
                if name in found.concerned:
                    found.suites[name] = _suites(context, connection, data[name], found.reconciled[name])
                found.totals += _totals(context, plan, data[name], due_totals(spec, plan.wave, entities=[name]))
    finally:
        for item in data.values():
            item.observed.unlink(missing_ok=True)  # personal data that can be read again
    return found


def _leave_to_people(reader: ReadBack, data: dict[str, EntityData], reconciled: Mapping[str, Reconciliation]) -> bool:
    """Put into ``data`` the differing fields that the plan leaves to people; whether there are any."""
    any_kept = False
    for name, result in reconciled.items():
        if result.different:
            kept = reader.kept(name, Path(result.fields_path))
            if kept.num_rows:
                data[name] = replace(data[name], kept=kept)
                any_kept = True
    return any_kept


def _suites(
    context: PhaseContext, connection: duckdb.DuckDBPyConnection, data: EntityData, result: Reconciliation
) -> tuple[SuiteResult, ...]:
    """The schema's own suite and the entity's special one over our records, and one over the reconciliation."""
    from rollout.verify import suites  # noqa: PLC0415 - importing it costs 5 s, which no other verb should pay

    ours = connection.sql(
        "SELECT * FROM read_parquet($observed) WHERE _migration_key IN "
        "(SELECT migration_key FROM read_parquet($rows) WHERE status IN ('ok', 'different', 'duplicate'))",
        params={"observed": str(data.observed), "rows": result.rows_path},
    ).to_arrow_table()
    frame = suites.typed(ours.to_pandas(types_mapper=pd.ArrowDtype), data.fields)
    recon = pq.read_table(result.rows_path, columns=["migration_key", "status", "wrong_fields", "broken_relations"])
    states = data.crosswalk["state"].to_pylist()
    loaded = sum(state in set(LOADED) for state in states)  # counted apart from the reconciliation
    found = [
        suites.run_suite(f"{data.entity}.schema", frame, suites.base_expectations(data.fields)),
        suites.run_suite(
            f"{data.entity}.reconciliation",
            recon.to_pandas(),
            suites.reconciliation_expectations(loaded),
            key="migration_key",
        ),
    ]
    own = context.project.root / "expectations" / f"{data.entity}.py"
    shared = Path(rollout.__file__).parents[2] / "expectations" / f"{data.entity}.py"
    if own.exists():
        found.append(suites.run_suite(f"{data.entity}.special", frame, suites.entity_expectations(own)))
    elif shared.exists():
        usable, left_out = suites.applicable(suites.entity_expectations(shared), frame)
        if usable:
            found.append(suites.run_suite(f"{data.entity}.special", frame, usable, not_applicable=left_out))
    return tuple(found)


def _totals(
    context: PhaseContext, plan: PlanRecord, data: EntityData, totals: Sequence[ControlTotal]
) -> list[ControlTotalResult]:
    """The legacy system's figures beside those of the records that were loaded and whose source is still there."""
    ours = pc.and_(pc.is_valid(data.crosswalk["target_id"]), pc.not_equal(data.crosswalk["state"], "gone"))
    loaded = data.crosswalk.filter(ours).combine_chunks()
    tallies = tallies_of(context, totals, plan.target, loaded["golden_key"].drop_null().to_pylist(), wave=plan.wave)
    return tallied(tallies, data.observed, loaded["migration_key"].combine_chunks())


def _judge(
    context: PhaseContext, plan: PlanRecord, names: Sequence[str], found: _Found, *, partial: bool
) -> tuple[GateResult, ...]:
    names = found.concerned
    measurements = load_measurements(context.journal.accounting(plan.target, wave=plan.wave), names)
    measurements += verify_measurements(
        {name: found.reconciled[name] for name in names},
        found.counted,
        {name: found.looks[name].bound for name in names},
        [suite for name in names for suite in found.suites[name]],
        list(found.orphans.values()),
    )
    if found.people is not None:
        measurements += people_measurements(found.people, limit=limit_of(context.project.spec))
    measurements.append(measured(found.totals))
    scope = f":{','.join(names)}" if partial else ""
    return tuple(
        judge_gate(
            f"{gate}{scope}",
            list(
                criteria(context.project.spec, gate, control_totals=len(found.totals), people=found.people is not None)
            ),
            measurements,
        )
        for gate in GATES
    )


def _concerned(context: PhaseContext, plan: PlanRecord, names: Sequence[str], found: _Found) -> list[str]:
    """The entities that a wave says something about; all of them where it says nothing about any.

    One whose rows are all in other waves is left out, unless something of it is in the target that should not be.
    """
    here = {line.entity: line.source for line in context.journal.accounting(plan.target, wave=plan.wave)}
    elsewhere = {line.entity for line in context.journal.accounting(plan.target) if line.source}
    idle = {
        name
        for name, result in found.reconciled.items()
        if not here.get(name) and name in elsewhere and not result.expected and not result.extra
    }
    return [name for name in names if name not in idle] or list(names)


def _summary(context: PhaseContext, plan: PlanRecord, run_id: str, found: _Found, seconds: float) -> VerifySummary:
    verdicts = {gate.verdict for gate in found.gates}
    verdict = Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.INCONCLUSIVE
    bounds = [look.bound for look in found.looks.values()]
    known = [bound.bound for bound in bounds if bound.bound is not None]
    rule = context.project.spec.verify
    return VerifySummary(
        run_id=run_id,
        target=plan.target,
        plan_id=plan.plan_id,
        wave=plan.wave,
        verdict=Verdict.PASS if verdicts == {Verdict.PASS} else verdict,
        criteria=tuple({result.metric: result for gate in found.gates for result in gate.criteria}.values()),
        gates=found.gates,
        sample=SampleSummary(
            size=sum(bound.size for bound in bounds),
            population=sum(bound.population for bound in bounds),
            wrong=sum(bound.wrong for bound in bounds),
            bound=max(known) if len(known) == len(bounds) and known else None,
            confidence=rule.confidence,
            seed=rule.seed,
            share=rule.share,
            derived=sum(look.derived for look in found.looks.values()),
        ),
        people=tuple(found.people or ()),
        entities={
            name: EntityVerification(
                counted=found.counted[name],
                reconciliation=result.relative_to(context.project.workspace.stages),
                references=found.orphans[name].references,
                orphans=found.orphans[name].orphans,
                sample_size=found.looks[name].bound.size,
                sample_wrong=found.looks[name].bound.wrong,
                sample_bound=found.looks[name].bound.bound,
                expectations=sum(len(suite.outcomes) for suite in found.suites[name]),
                expectations_failed=tuple(
                    f"{suite.suite} {outcome.check}" for suite in found.suites[name] for outcome in suite.failed
                ),
            )
            for name, result in found.reconciled.items()
        },
        control_totals=tuple(found.totals),
        findings={level.value: sum(finding.level is level for finding in found.findings) for level in Level},
        reports=found.reports,
        seconds=round(seconds, 3),
    )
