"""Fills the acceptance document from the journal and writes it in the project's languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollout.journal.facts import judging_summary, overrides
from rollout.journal.ledger import Ledger
from rollout.journal.overlay import overlay_of
from rollout.journal.overlay import reasons as overlaid_reasons
from rollout.journal.plans import PlanRecord, Plans
from rollout.model.finding import Finding
from rollout.model.outcome import Bucket
from rollout.model.verdict import GateResult
from rollout.phases.context import PhaseContext
from rollout.report.acceptance import render_acceptance
from rollout.report.documents import (
    Acceptance,
    Approval,
    EntityLabel,
    PeopleFigures,
    PlanFigures,
    ReasonCount,
    ReconcileFigures,
    SampleFigures,
    TotalFigures,
)
from rollout.report.files import write_document
from rollout.verify.control_totals import ControlTotalResult
from rollout.verify.people import PeopleResult
from rollout.verify.reconcile import Reconciliation
from rollout.verify.sample import SampleBound

DOCUMENT = "acceptance"
"""Under which key a verification's summary keeps the document, so that it can be printed again."""


@dataclass(frozen=True)
class Verified:
    """What a verification found, as far as the document prints it."""

    reconciled: Mapping[str, Reconciliation]
    samples: Mapping[str, SampleBound]
    findings: Sequence[Finding]
    people: Sequence[PeopleResult] = ()
    totals: Sequence[ControlTotalResult] = ()


def acceptance_document(
    context: PhaseContext,
    plan: PlanRecord,
    *,
    run_id: str,
    gates: tuple[GateResult, ...],
    verified: Verified,
) -> Acceptance:
    """The acceptance document of one plan's wave, as the journal has it now."""
    spec = context.project.spec
    plans = Plans(context.journal.project_id)
    with context.journal.transaction() as connection:
        approval = plans.approval(connection, plan)
        overlay = overlay_of(connection, context.journal.project_id, plan.target, plan.wave)
        reasons = overlaid_reasons(connection, overlay) if overlay else {}
        held_back = Ledger(context.journal.project_id).held_back(connection, wave=plan.wave)
    return Acceptance(
        project=spec.project.name,
        company=spec.report.company or spec.project.name,
        company_en=spec.project.name_en,
        wave=next((wave.label for wave in spec.waves if wave.name == plan.wave and wave.label), plan.wave),
        target=plan.target,
        run_id=run_id,
        written_at=context.clock(),
        time_zone=spec.project.time_zone,
        labels={name: EntityLabel(zh=entity.label, en=entity.label_en) for name, entity in spec.entities.items()},
        accounting=tuple(context.journal.accounting(plan.target, wave=plan.wave)),
        gates=gates,
        overrides={gate.gate: overrides(context.journal, gate.gate, plan.wave) for gate in gates},
        plan=PlanFigures(
            plan_id=plan.plan_id,
            plan_hash=plan.plan_hash,
            created_at=plan.created_at,
            actions=plan.counts,
            approvals=(Approval(person=approval.person, at=approval.at, reason=approval.reason),) if approval else (),
        ),
        reconciliation=tuple(
            ReconcileFigures(**{name: getattr(result, name) for name in ReconcileFigures.model_fields})
            for result in verified.reconciled.values()
        ),
        samples=tuple(
            SampleFigures(entity=name, **sample.model_dump(include=set(SampleFigures.model_fields)))
            for name, sample in verified.samples.items()
        ),
        people=tuple(
            PeopleFigures(**{name: getattr(result, name) for name in PeopleFigures.model_fields})
            for result in verified.people
        ),
        totals=tuple(total_figures(result) for result in verified.totals),
        reasons=(
            *(_reason(entity, reason, rows) for entity, found in reasons.items() for reason, rows in found.items()),
            *(
                ReasonCount(entity=entity, bucket=bucket, reason_code=code, rows=rows)
                for entity, bucket, code, rows in held_back
            ),
        ),
        findings=tuple(verified.findings),
    )


def total_figures(result: ControlTotalResult) -> TotalFigures:
    """A figure of the legacy system as the document prints it."""
    made_of = result.made_of.model_dump(exclude={"rows"}) if result.made_of is not None else {}
    return TotalFigures(**{name: getattr(result, name) for name in _PRINTED}, made_of=made_of)


_PRINTED = tuple(name for name in TotalFigures.model_fields if name != "made_of")


def write_acceptance(context: PhaseContext, document: Acceptance, wave: str) -> tuple[str, ...]:
    """Write `acceptance.{language}.html`, one a wave where there are several; answers the paths."""
    spec, folder = context.project.spec, context.project.workspace.reports
    stem = "acceptance" if len(spec.waves) == 1 else f"acceptance-{wave}"
    return tuple(
        str(write_document(folder, f"{stem}.{language}.html", render_acceptance(document, language)))
        for language in spec.project.languages
    )


def print_overrides(context: PhaseContext, wave: str) -> tuple[str, ...]:
    """Write a wave's acceptance documents anew, with what was decided since they were written; answers the paths."""
    summary = judging_summary(context.journal, "verify", wave)
    if summary is None or DOCUMENT not in summary:
        return ()
    document = Acceptance.model_validate(summary[DOCUMENT])
    found = {gate.gate: overrides(context.journal, gate.gate, wave) for gate in document.gates}
    return write_acceptance(context, document.model_copy(update={"overrides": found}), wave)


def _reason(entity: str, reason: str, rows: int) -> ReasonCount:
    """From `state/reason_code`, as the journal counts them."""
    state, _, code = reason.partition("/")
    return ReasonCount(entity=entity, bucket=Bucket(state), reason_code=code, rows=rows)
