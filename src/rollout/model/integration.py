"""What an integration test saw, as data: made by its scenarios, kept in the journal, printed by the report."""

from __future__ import annotations

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.verdict import Verdict

Fact = str | int | float


class Cell(Frozen):
    """One scenario, judged. ``outcome`` and ``facts`` say what was seen, in words of the message catalogue."""

    scenario: str
    systems: tuple[str, ...] = Field(description="Names of the systems that take part.")
    verdict: Verdict
    outcome: str
    facts: dict[str, Fact] = Field(default_factory=dict)
    expected: str = Field(default="", description="What should happen, in English.")
    observed: str = Field(default="", description="What happened, in English.")
    seconds: float = Field(description="How long the scenario took.")


class DrillEvent(Frozen):
    """A moment of a drill."""

    scenario: str
    at_s: float = Field(description="Seconds since the drill began.")
    event: str
    records: int | None = Field(default=None, description="What it is about, counted; None: nothing to count.")


class DrillFigures(Frozen):
    """What a drill left behind, compared as a whole with what the source system holds."""

    scenario: str
    put: int = Field(description="Test records in the source system.")
    found: int = Field(description="Test records in the CRM.")
    missing: int
    extra: int = Field(description="Records of the CRM beyond one for each of the source system.")
    different: int = Field(description="Records of which a carried field differs.")
