"""Where a rollout is, as data: every phase, its verdict, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from pydantic import Field

from rollout.journal.handouts import Handout
from rollout.model.base import Frozen
from rollout.model.progress import Override
from rollout.model.verdict import Verdict
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.html import moment
from rollout.report.messages import messages

BOOK_KEYS = tuple(f"handout.{kind}" for kind in ("quarantine", "review", "sample", "mapping", "dormant"))
"""Words that are composed."""


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


class HandoutStatus(Frozen):
    """Workbooks of one kind that went to people: of each recipient the newest."""

    kind: str = Field(description="quarantine | review | sample | mapping | dormant")
    books: int
    returned: int
    rows: int
    answered: int
    return_rate: float = Field(description="Answered of all rows, 0 to 1.")
    due_on: date | None = Field(description="The day by which the last of them should be back.")
    overdue: int = Field(description="Workbooks whose day is over and that are not back.")
    told: str
    told_zh: str


class RolloutStatus(Frozen):
    """A rollout's phases, in order, and the one to do next."""

    project: str
    time_zone: str
    phases: tuple[PhaseStatus, ...]
    handouts: tuple[HandoutStatus, ...] = Field(default=(), description="Workbooks that went to people, by kind.")
    next: PhaseStatus | None = Field(description="None: nothing is left to do before operation.")


def handout_status(handed: Sequence[Handout], today: date) -> tuple[HandoutStatus, ...]:
    """How many of the workbooks are back, by kind.

    Args:
        handed: The newest last.
        today: In the project's time zone.
    """
    newest = {(found.kind, found.recipient, found.entity): found for found in handed}
    kinds: dict[str, list[Handout]] = {}
    for found in newest.values():
        kinds.setdefault(found.kind, []).append(found)
    return tuple(_one_kind(kind, found, today) for kind, found in sorted(kinds.items()))


def _one_kind(kind: str, handed: Sequence[Handout], today: date) -> HandoutStatus:
    rows, answered = sum(found.rows for found in handed), sum(min(found.answered, found.rows) for found in handed)
    open_books = [found for found in handed if found.returned_at is None]
    overdue = sum(found.due_on is not None and found.due_on < today for found in open_books)
    due_on = max((found.due_on for found in handed if found.due_on), default=None)
    rate = answered / rows if rows else 1.0

    def told(language: Language) -> str:
        t = messages(language)
        return t(
            "handout.told",
            kind=t.word("handout", kind),
            returned=len(handed) - len(open_books),
            books=len(handed),
            answered=f"{answered:,}",
            rows=f"{rows:,}",
            rate=figures.share(rate),
            due=due_on.isoformat() if due_on else "–",
            overdue=t("handout.overdue", books=overdue) if overdue else "",
        )

    return HandoutStatus(
        kind=kind,
        books=len(handed),
        returned=len(handed) - len(open_books),
        rows=rows,
        answered=answered,
        return_rate=rate,
        due_on=due_on,
        overdue=overdue,
        told=told("en"),
        told_zh=told("zh"),
    )


def overridden(status: RolloutStatus) -> list[tuple[GateStatus, Override]]:
    """Every override of every gate, each once."""
    found = {
        (gate.name, gate.wave, override.phase, override.at): (gate, override)
        for phase in status.phases
        for gate in phase.gates
        for override in gate.overrides
    }
    return list(found.values())
