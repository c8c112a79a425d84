"""`integrate`: plays through what the CRM and the systems around it must do together, and judges the gate.

Test records are marked, and taken out again everywhere at the end; those of runs that were cut off, at the beginning.
The syncs run as the project declares them, from where they stand: they are what is tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

from pydantic import Field

from rollout.connectors import registry
from rollout.connectors.base import Remover
from rollout.errors import ConfigError, RolloutError, UnsupportedOperation
from rollout.integrate import arrivals, drills, linkage
from rollout.integrate.stage import TAG_PREFIX, Connect, Crm, RunSync, Scenario, Stage, clear, judge, tag_of
from rollout.integrate.sync import Feed, Sync, SyncFigures
from rollout.integrate.upsert import CrmTarget
from rollout.journal.carried import Carried
from rollout.journal.facts import judging_summary, overrides
from rollout.journal.leases import Lease
from rollout.journal.store import DEFAULT_WAVE
from rollout.journal.syncs import Syncs
from rollout.model.base import Frozen
from rollout.model.finding import Finding, Level
from rollout.model.integration import Cell, DrillEvent, DrillFigures
from rollout.model.verdict import GateResult, Measurement, Verdict, judge_gate
from rollout.phases.context import PhaseContext, shown
from rollout.phases.sync import crm as crm_of
from rollout.phases.sync import section, sync_scope, syncing
from rollout.project.gates import criteria
from rollout.report.files import write_document
from rollout.report.integration import IntegrationDocument, cell_texts, render_integration

SCENARIOS = (
    Scenario("lead_won", ("crm",), linkage.lead_won),
    Scenario("complaint_escalated", ("crm",), linkage.complaint_escalated),
    Scenario("order_arrives", (arrivals.ORDERS, "crm"), arrivals.order_arrives),
    Scenario("message_once", (arrivals.MESSAGES, "crm"), arrivals.message_once),
    Scenario("erp_refuses", (arrivals.ORDERS, "crm"), drills.erp_refuses),
    Scenario("answer_lost", (arrivals.ORDERS, "crm"), drills.answer_lost),
)
"""What is played, in order."""


class IntegrateSummary(Frozen):
    """The answer of `integrate`, and what its report prints."""

    run_id: str
    target: str
    tag: str = Field(description="Marks the run's test records.")
    verdict: Verdict
    cells: tuple[Cell, ...]
    drills: tuple[DrillFigures, ...]
    events: tuple[DrillEvent, ...]
    gates: tuple[GateResult, ...]
    findings: dict[str, int] = Field(description="Findings by level.")
    reports: tuple[str, ...] = ()
    seconds: float


def run_integrate(context: PhaseContext, *, sleep: Callable[[float], None] = time.sleep) -> IntegrateSummary:
    """Play all scenarios on the target that names the phase `integrate`.

    Args:
        context: The phase's context.
        sleep: Waits, seconds.

    Raises:
        ConfigError: The project says nothing about integration, or the target cannot give test records back.
        LeaseHeld: A sync is under way.
        Retryable: The CRM or the journal does not answer.
    """
    begun_s = time.perf_counter()
    section(context)
    target_name, target = crm_of(context, "integrate")
    if not isinstance(target, Remover):
        raise UnsupportedOperation(
            f"system '{target.name}' cannot take test records out again", hint="integrate on a target that can"
        )
    with context.journal.running("integrate") as run, syncing(context, target_name, target) as lease:
        stage = _stage(context, tag_of(run.run_id), target_name, cast("Crm", target), lease, sleep)
        left = _clear(context, stage, target_name)
        try:
            cells = _play(context, stage)
        finally:
            left += _clear(context, stage, target_name)
        gate = judge_gate("integrate", list(criteria(context.project.spec, "integrate")), _measured(cells, stage))
        findings = [_left_behind(told) for told in dict.fromkeys(left)]
        context.journal.add_findings(run.run_id, findings)
        context.journal.record_gate(run.run_id, gate)
        summary = IntegrateSummary(
            run_id=run.run_id,
            target=target_name,
            tag=stage.tag,
            verdict=gate.verdict,
            cells=tuple(cells),
            drills=tuple(stage.drills),
            events=tuple(stage.events),
            gates=(gate,),
            findings={"warning": len(findings)} if findings else {},
            seconds=round(time.perf_counter() - begun_s, 1),
        )
        run.summary = summary.model_dump(mode="json")
    reports = write_integration(context)
    return summary.model_copy(update={"reports": reports})


def write_integration(context: PhaseContext) -> tuple[str, ...]:
    """Write `integration.{language}.html` from the newest run in the journal; answers the paths."""
    run = context.journal.latest_run("integrate")
    if run is None:
        raise ConfigError("nothing was integrated yet", hint="rollout integrate")
    summary = IntegrateSummary.model_validate(run.summary)
    spec = context.project.spec
    document = IntegrationDocument(
        project=spec.project.name,
        project_en=spec.project.name_en,
        company=spec.report.company or spec.project.name,
        company_en=spec.project.name_en,
        time_zone=spec.project.time_zone,
        written_at=run.ended_at or run.started_at,
        run_id=run.run_id,
        target=summary.target,
        labels={name: system.label or name for name, system in spec.systems.items()},
        verdict=summary.verdict,
        cells=summary.cells,
        drills=summary.drills,
        events=summary.events,
        gates=summary.gates,
        findings=tuple(context.journal.findings(run.run_id)),
        overrides={gate.gate: overrides(context.journal, gate.gate) for gate in summary.gates},
    )
    folder = context.project.workspace.reports
    return tuple(
        str(write_document(folder, f"integration.{language}.html", render_integration(document, language)))
        for language in spec.project.languages
    )


def print_integration(context: PhaseContext) -> tuple[str, ...]:
    """Write the report anew, with what was decided since, if the run that was judged last left one."""
    summary = judging_summary(context.journal, "integrate", DEFAULT_WAVE)
    return write_integration(context) if summary is not None and "cells" in summary else ()


def _play(context: PhaseContext, stage: Stage) -> list[Cell]:
    cells = []
    with shown(context.progress, "integrate", len(SCENARIOS), "scenarios") as progress:
        for name in stage.syncs:  # what has gathered since the last sync is none of the scenarios' business
            stage.run_sync(name)
        for scenario in SCENARIOS:
            cell = judge(scenario, stage)
            expected, observed = cell_texts(cell, "en")
            cells.append(cell.model_copy(update={"expected": expected, "observed": observed}))
            progress.advance(1)
    return cells


def _measured(cells: Sequence[Cell], stage: Stage) -> list[Measurement]:
    """The gate's measurements.

    A cell that could not be judged is no failure: it leaves open whether there is one, so nothing is measured then; nor
    is it when a drill could not be compared.
    """
    verdicts = [cell.verdict for cell in cells]
    played = [figures for figures in stage.drills if figures.put]
    records = sum(figures.put for figures in played)
    whole = len(played) == len([scenario for scenario in SCENARIOS if scenario.play.__module__ == drills.__name__])

    def drilled(name: str) -> Measurement:
        total = sum(getattr(figures, name) for figures in played)
        # What one drill lost is a failure even if the other did not come about.
        value = float(total) if whole or total else None
        return Measurement(metric=f"drill_{name}", value=value, evidence=records)

    open_cells = [cell.scenario for cell in cells if cell.verdict is Verdict.INCONCLUSIVE]
    told = f"could not be judged: {', '.join(open_cells)}" if open_cells else ""
    return [
        Measurement(metric="cells_failed", value=verdicts.count(Verdict.FAIL), evidence=len(cells)),
        Measurement(metric="cells_open", value=None if open_cells else 0, evidence=len(cells), detail=told),
        drilled("missing"),
        drilled("extra"),
    ]


def _left_behind(told: str) -> Finding:
    return Finding(
        id="integrate.left_behind",
        level=Level.WARNING,
        message=told,
        hint="the next `rollout integrate` tries again; or delete them by hand",
        detail={"told": told},
    )


def _clear(context: PhaseContext, stage: Stage, target_name: str) -> list[str]:
    syncs = Syncs(context.journal.project_id, target_name)

    def forget(name: str, ids: Sequence[str]) -> None:
        with context.journal.transaction() as connection:
            syncs.forget(connection, name, ids)

    try:
        with context.journal.transaction() as connection:
            known = {name: syncs.ids_beginning(connection, name, TAG_PREFIX) for name in stage.syncs}
        return clear(stage, forget, known)
    except RolloutError as error:
        return [str(error)]


def _stage(
    context: PhaseContext, tag: str, target_name: str, target: Crm, lease: Lease, sleep: Callable[[float], None]
) -> Stage:
    integration, spec = section(context), context.project.spec
    systems = {sync.system: context.connector(sync.system) for sync in integration.syncs.values()}
    return Stage(
        tag=tag,
        crm_name=target.name,
        crm=target,
        salesperson=_salesperson(context),
        settle_s=integration.settle_s,
        syncs=integration.syncs,
        systems=systems,
        addresses={name: spec.systems[name].options.get("base_url") for name in (*systems, target.name)},
        customer=_customer(context, target_name),
        run_sync=_runner(context, target_name, target, lease, sleep),
        rewind=_rewinder(context, target_name),
        cursor=_cursor_reader(context, target_name),
        connect=_connect(context),
        sleep=sleep,
    )


def _salesperson(context: PhaseContext) -> str:
    login = section(context).salesperson
    if login is None:
        raise ConfigError(
            "nobody is named whom test records belong to",
            where="integration.salesperson",
            hint="write the login of a user of the CRM: the one who is told of the test's complaint",
        )
    return login


def _customer(context: PhaseContext, target_name: str) -> tuple[str, str] | None:
    """A loaded customer that another system knows by its legacy number."""
    entities = {sync.references_entity for sync in section(context).syncs.values() if sync.references}
    syncs = Syncs(context.journal.project_id, target_name)
    with context.journal.transaction() as connection:
        for name in sorted(entities):
            sources = [source.name for source in context.project.spec.entities[name].sources]
            if customer := syncs.some_customer(connection, name, sources):
                return customer
    return None


def _runner(context: PhaseContext, target_name: str, own: Crm, lease: Lease, sleep: Callable[[float], None]) -> RunSync:
    def run_sync(name: str, *, feed: Feed | None = None, target: CrmTarget | None = None) -> SyncFigures:
        scope = sync_scope(
            context, name, target_name=target_name, target=target or own, lease=lease, sleep=sleep, feed=feed
        )
        return Sync(scope).run()

    return run_sync


def _rewinder(context: PhaseContext, target_name: str) -> Callable[[str, str | None], None]:
    def rewind(name: str, cursor: str | None) -> None:
        with context.journal.transaction() as connection:
            Syncs(context.journal.project_id, target_name).rewind(connection, name, cursor)

    return rewind


def _cursor_reader(context: PhaseContext, target_name: str) -> Callable[[str], str | None]:
    def cursor(name: str) -> str | None:
        with context.journal.transaction() as connection:
            return Carried(context.journal.project_id, target_name).sync_state(connection, name).cursor

    return cursor


def _connect(context: PhaseContext) -> Connect:
    def connect(system: str, base_url: str) -> object:
        spec = context.project.spec.systems[system]
        return registry.create(
            spec.connector, name=system, options={**spec.options, "base_url": base_url}, base_dir=context.project.root
        )

    return connect
