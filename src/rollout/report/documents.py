"""What the acceptance document prints, as data: filled from the journal, rendered by `acceptance`."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.finding import Finding
from rollout.model.outcome import Accounting, Bucket
from rollout.model.progress import Override
from rollout.model.verdict import GateResult, Verdict


class EntityLabel(Frozen):
    """What people call an entity."""

    zh: str
    en: str = ""


class ReasonCount(Frozen):
    """Why rows of an entity are not in the target: the reason code, and how many rows."""

    entity: str
    bucket: Bucket
    reason_code: str
    rows: int = Field(ge=1)
    example: str = Field(default="", description="One message, masked.")


class Approval(Frozen):
    """Who approved the plan, and when."""

    person: str
    at: datetime = Field(description="Aware.")
    reason: str = ""


class PlanFigures(Frozen):
    """The plan that was loaded."""

    plan_id: str
    plan_hash: str
    created_at: datetime = Field(description="Aware.")
    actions: dict[str, dict[str, int]] = Field(default_factory=dict, description="Rows by entity and action.")
    approvals: tuple[Approval, ...] = ()


class ReconcileFigures(Frozen):
    """The comparison of everything expected with everything read back, for one entity. Counts are records."""

    entity: str
    expected: int
    observed: int
    ok: int
    missing: int = 0
    duplicate: int = 0
    extra: int = 0
    different: int = 0
    relations: int = Field(default=0, description="Relations compared.")
    relations_broken: int = 0


class SampleFigures(Frozen):
    """The acceptance sample of one entity and what it proves."""

    entity: str
    population: int
    size: int
    wrong: int
    bound: float | None = Field(description="At most this share is wrong (0 to 1); None: nothing was looked at.")
    confidence: float


class PeopleFigures(Frozen):
    """What people's own check of one entity proves."""

    entity: str
    population: int
    asked: int
    checked: int
    wrong: int
    lapsed: int = Field(description="Answers that a later load of other values made void.")
    bound: float | None = Field(description="At most this share is wrong (0 to 1); None: answers are missing.")
    confidence: float

    @property
    def open(self) -> int:
        """Records without a valid answer."""
        return self.asked - self.checked


class TotalFigures(Frozen):
    """A figure of the legacy system beside the target's."""

    name: str
    entity: str
    expected: str
    observed: str
    difference: str
    agrees: bool
    as_of: str
    made_of: dict[str, str | int] = Field(
        default_factory=dict, description="How `expected` follows from the source rows; empty: it was declared."
    )


class Acceptance(Frozen):
    """The acceptance document. Every figure comes from the journal."""

    project: str
    project_en: str = ""
    company: str
    company_en: str = ""
    wave: str = "all"
    target: str
    run_id: str = ""
    written_at: datetime = Field(description="Aware.")
    time_zone: str = "UTC"
    labels: dict[str, EntityLabel] = Field(default_factory=dict)
    accounting: tuple[Accounting, ...]
    gates: tuple[GateResult, ...] = ()
    overrides: dict[str, tuple[Override, ...]] = Field(default_factory=dict, description="By gate: who went on anyway.")
    plan: PlanFigures | None = None
    reconciliation: tuple[ReconcileFigures, ...] = ()
    samples: tuple[SampleFigures, ...] = ()
    people: tuple[PeopleFigures, ...] = ()
    totals: tuple[TotalFigures, ...] = ()
    reasons: tuple[ReasonCount, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """PASS only if there is a gate, every gate is PASS, and every row is accounted for and none is open."""
        verdicts = {gate.verdict for gate in self.gates}
        if Verdict.FAIL in verdicts or not all(entity.closed for entity in self.accounting):
            return Verdict.FAIL
        if verdicts == {Verdict.PASS} and self.accounting:
            return Verdict.PASS
        return Verdict.INCONCLUSIVE

    @property
    def source_rows(self) -> int:
        """Source rows of all entities."""
        return sum(entity.source for entity in self.accounting)

    @property
    def loaded_rows(self) -> int:
        """Source rows that are in the target as planned."""
        return sum(entity.loaded for entity in self.accounting)
