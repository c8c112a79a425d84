"""The phases of a project, in order, and what each decision rests on."""

from __future__ import annotations

from enum import StrEnum

from rollout.model.base import Frozen
from rollout.project.spec import ProjectSpec

WHOLE = "all"
"""What the journal calls the wave of what concerns the whole rollout."""


class Phase(StrEnum):
    """The phases of a rollout."""

    PREPARE = "prepare"
    ASSESS = "assess"
    CLEANSE = "cleanse"
    PLAN = "plan"
    LOAD = "load"
    VERIFY = "verify"
    INTEGRATE = "integrate"
    LOADTEST = "loadtest"
    UNDO = "undo"
    """Taking a load back, rehearsed."""
    PILOT = "pilot"
    GOLIVE = "golive"
    OPERATE = "operate"


PREPARATION = (Phase.PREPARE, Phase.ASSESS, Phase.CLEANSE)
"""Phases that change nothing outside, and make what all later ones rest on."""

DECISIONS = (Phase.PILOT, Phase.GOLIVE)
"""Phases that are nothing but a person's decision."""

GATED = (Phase.VERIFY, Phase.INTEGRATE, Phase.LOADTEST, Phase.UNDO)
"""Phases that a gate closes, or a person by an override."""


class Step(Frozen):
    """One phase, of one wave where it runs wave by wave."""

    phase: Phase
    wave: str | None = None

    @property
    def journal_wave(self) -> str:
        """The wave under which the journal keeps decisions about it."""
        return self.wave or WHOLE

    def __str__(self) -> str:
        """Such as ``verify (east)``."""
        return f"{self.phase.value} ({self.wave})" if self.wave else self.phase.value


class Outline(Frozen):
    """What of a project decides which phases there are."""

    waves: tuple[str, ...]
    has_integration: bool = True
    has_loadtest: bool = True
    has_rehearsal: bool = False
    """Go-live asks for a rehearsed undo."""

    @property
    def has_pilot(self) -> bool:
        """Whether there is anything to try before the rest."""
        return len(self.waves) > 1

    def is_needed(self, step: Step) -> bool:
        """Whether the project asks for a phase."""
        asked = {
            Phase.INTEGRATE: self.has_integration,
            Phase.LOADTEST: self.has_loadtest,
            Phase.UNDO: self.has_rehearsal,
            Phase.PILOT: self.has_pilot,
        }
        return asked.get(step.phase, True)


def outline(spec: ProjectSpec) -> Outline:
    """The outline of a project."""
    return Outline(
        waves=tuple(wave.name for wave in spec.waves),
        has_integration=spec.integration is not None,
        has_loadtest=spec.loadtest is not None,
        has_rehearsal=Phase.UNDO in spec.gates,
    )


def steps(project: Outline) -> tuple[Step, ...]:
    """Every step of a project in order, those it does not need as well."""
    first, *later = project.waves

    def of_wave(wave: str) -> list[Step]:
        return [Step(phase=phase, wave=wave) for phase in (Phase.PLAN, Phase.LOAD, Phase.VERIFY)]

    return (
        *(Step(phase=phase) for phase in (Phase.PREPARE, Phase.ASSESS, Phase.CLEANSE)),
        *of_wave(first),
        *(Step(phase=phase) for phase in (Phase.INTEGRATE, Phase.LOADTEST)),
        *([Step(phase=Phase.UNDO)] if project.has_rehearsal else []),
        Step(phase=Phase.PILOT),
        *(step for wave in later for step in of_wave(wave)),
        *(Step(phase=phase) for phase in (Phase.GOLIVE, Phase.OPERATE)),
    )


def requirements(project: Outline, step: Step) -> tuple[Step, ...]:
    """The steps a decision rests on; of a step with a gate: itself."""
    waves = {Phase.PILOT: project.waves[:1], Phase.GOLIVE: project.waves}.get(step.phase)
    if waves is None:
        return (step,) if step.phase in GATED else ()
    asked = [Step(phase=Phase.VERIFY, wave=wave) for wave in waves]
    asked += [Step(phase=Phase.INTEGRATE), Step(phase=Phase.LOADTEST)]
    if step.phase is Phase.GOLIVE:
        asked += [Step(phase=Phase.UNDO), Step(phase=Phase.PILOT)]
    return tuple(found for found in asked if project.is_needed(found))


def gates_of(step: Step) -> tuple[str, ...]:
    """The gates that close a step, as `gate` or `gate/wave`. Both gates of a load are judged in verify."""
    if step.phase is Phase.VERIFY:
        return (f"load/{step.wave}", f"verify/{step.wave}")
    return (step.phase.value,) if step.phase in GATED else ()


def gates_seen(project: Outline, step: Step) -> tuple[str, ...]:
    """The gates that a decision about a step is bound to."""
    return tuple(gate for found in requirements(project, step) for gate in gates_of(found))
