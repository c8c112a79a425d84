"""Where the rollout is, from the journal alone, and the guard that keeps later waves closed until the pilot's go."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from rollout.errors import ApprovalError
from rollout.govern.derive import derive
from rollout.govern.sequence import Outline, Phase, Step, outline
from rollout.govern.states import State, StepState, Told, next_step
from rollout.journal.facts import facts
from rollout.journal.handouts import handed_out
from rollout.model.progress import Facts
from rollout.phases.context import PhaseContext
from rollout.phases.drift import source_inputs
from rollout.project.spec import Language, ProjectSpec
from rollout.report.messages import messages
from rollout.report.status import GateStatus, HandoutStatus, PhaseStatus, RolloutStatus, handout_status

LANGUAGES: tuple[Language, ...] = ("zh", "en")


def rollout_status(context: PhaseContext, *, look_at_sources: bool = False) -> RolloutStatus:
    """The state of every phase, and the next one.

    Args:
        context: The project and its journal.
        look_at_sources: Compare the sources and rules with those that were cleansed; reads every source.

    Raises:
        ConfigError: A source that is looked at cannot be used as declared.
        Retryable: The database, or a source that is looked at, is down.
    """
    spec = context.project.spec
    known = gathered(context)
    if look_at_sources:
        known = known.model_copy(update={"sources_changed": _changed(context, known)})
    states = derive(outline(spec), known)
    due = next_step(states)
    phases = {found.step: _told_to_people(found, spec) for found in states}
    return RolloutStatus(
        project=spec.project.id,
        time_zone=spec.project.time_zone,
        phases=tuple(phases.values()),
        handouts=_handed_out(context),
        next=phases[due.step] if due and due.step.phase is not Phase.OPERATE else None,
    )


def _handed_out(context: PhaseContext) -> tuple[HandoutStatus, ...]:
    today = context.clock().astimezone(ZoneInfo(context.project.spec.project.time_zone)).date()
    with context.journal.transaction() as connection:
        return handout_status(handed_out(connection, context.journal.project_id), today)


def gathered(context: PhaseContext) -> Facts:
    """The facts of the project, about the target that is planned; there are no plans where none is."""
    targets = (name for name, target in context.project.spec.targets.items() if "plan" in target.phases)
    return facts(context.journal, next(targets, ""))


def require(context: PhaseContext, phase: Phase | str, wave: str) -> None:
    """Refuse work on a later wave until a person said go to the pilot.

    Raises:
        ApprovalError: There is no go, or it rests on judgements that are no longer the latest.
    """
    project = outline(context.project.spec)
    if not project.has_pilot or wave == project.waves[0]:
        return
    pilot = next(found for found in derive(project, gathered(context)) if found.step.phase is Phase.PILOT)
    if pilot.state is not State.DONE:
        told = _sentence(pilot.waiting_for, "en", project)
        raise ApprovalError(
            f"{Phase(phase).value} of wave '{wave}' needs a go of the pilot (wave '{project.waves[0]}'): {told}",
            hint="see `rollout status`; the decision is `rollout decide pilot --go --by NAME --reason TEXT`",
        )


def _changed(context: PhaseContext, known: Facts) -> bool:
    """Whether the latest cleansing was of other sources or rules than there are now."""
    runs = [run for run in known.runs if (run.phase, run.state) == ("cleanse", "completed")]
    return bool(runs) and max(runs, key=lambda run: run.seq).inputs != source_inputs(context)


def _told_to_people(found: StepState, spec: ProjectSpec) -> PhaseStatus:
    project = outline(spec)
    sentences = {language: _sentence(found.waiting_for, language, project) for language in LANGUAGES}
    remarks = {
        language: tuple(str(_sentence(told, language, project)) for told in found.remarks) for language in LANGUAGES
    }
    return PhaseStatus(
        phase=found.step.phase.value,
        wave=found.step.wave,
        label=label(found.step, "zh", project),
        label_en=label(found.step, "en", project),
        state=found.state.value,
        verdict=found.verdict,
        waiting_for=sentences["en"],
        waiting_for_zh=sentences["zh"],
        remarks=remarks["en"],
        remarks_zh=remarks["zh"],
        since=found.since,
        plan_id=found.plan_id,
        gates=tuple(
            GateStatus(
                name=gate.gate,
                wave=gate.wave,
                verdict=gate.verdict,
                judged_at=gate.judged_at,
                overrides=gate.overrides,
            )
            for gate in found.gates
        ),
        decided_by=found.decided_by,
        is_override=found.is_override,
        reason=found.reason,
    )


def label(step: Step, language: Language, project: Outline) -> str:
    """What people call a step; the wave is named where there are several."""
    word = messages(language)(f"phase.{step.phase.value}")
    return f"{word} · {step.wave}" if step.wave and project.has_pilot else word


def _sentence(told: Told | None, language: Language, project: Outline) -> str | None:
    if told is None:
        return None
    values = {**told.values, **({"phase": label(told.step, language, project)} if told.step else {})}
    return messages(language)(f"told.{told.code}", **values)
