"""Where a rollout is, as data: every phase, its verdict, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.progress import Override
from rollout.model.verdict import Verdict
from rollout.project.spec import Language
from rollout.report.html import moment
from rollout.report.messages import messages


def override_text(override: Override, language: Language, time_zone: str, *, quoted: Callable[[str], str] = str) -> str:
    """Who overrode a gate, when and why, and whether that still counts.

    Args:
        override: The decision.
        language: Chooses the catalogue.
        time_zone: In which the instant is told.
        quoted: What makes people's own words safe where they are shown.
    """
    t = messages(language)
    return t(
        "override.holds" if override.holds else "override.lapsed",
        person=quoted(override.person),
        phase=t.word("phase", override.phase),
        at=moment(override.at, time_zone),
        reason=quoted(override.reason),
    )


class GateStatus(Frozen):
    """A gate as it stands."""

    name: str
    wave: str | None
    verdict: Verdict | None = Field(description="None: never judged.")
    judged_at: datetime | None
    overrides: tuple[Override, ...] = ()


class PhaseStatus(Frozen):
    """One phase, of one wave where it runs wave by wave."""

    phase: str
    wave: str | None
    label: str
    label_en: str
    state: str = Field(
        description="not_started | blocked | running | waiting | failed | no_go | outdated | done | not_needed"
    )
    verdict: Verdict | None
    waiting_for: str | None = Field(description="Who must do what, with the command.")
    waiting_for_zh: str | None
    remarks: tuple[str, ...] = ()
    remarks_zh: tuple[str, ...] = ()
    since: datetime | None
    plan_id: str | None = Field(default=None, description="Of the phase plan: which one waits or was approved.")
    gates: tuple[GateStatus, ...]
    decided_by: str | None
    is_override: bool
    reason: str


class RolloutStatus(Frozen):
    """A rollout's phases, in order, and the one to do next."""

    project: str
    time_zone: str
    phases: tuple[PhaseStatus, ...]
    next: PhaseStatus | None = Field(description="None: nothing is left to do before operation.")


def overridden(status: RolloutStatus) -> list[tuple[GateStatus, Override]]:
    """Every override of every gate, each once."""
    found = {
        (gate.name, gate.wave, override.phase, override.at): (gate, override)
        for phase in status.phases
        for gate in phase.gates
        for override in gate.overrides
    }
    return list(found.values())
