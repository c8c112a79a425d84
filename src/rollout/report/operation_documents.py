"""What the monthly operation report prints, as data: filled from the journal, rendered by `operation`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.verdict import Verdict
from rollout.report.documents import EntityLabel

SYNC_KINDS = ("missing", "extra", "different", "late", "in_flight", "edited")
"""What a night counts; the first four are wrong."""


class Slot(StrEnum):
    """What is known of one stretch of time."""

    UP = "up"
    DOWN = "down"
    UNMEASURED = "unmeasured"
    BEFORE = "before"
    """Operation had not begun."""
    AHEAD = "ahead"
    """The month was not over when the report was written."""


class DayFigures(Frozen):
    """One day. Its health checks are counted by the slots of the schedule."""

    date: str
    expected: int = Field(description="Health checks that the schedule asks for since operation began, as far as due.")
    measured: int
    available: int
    slots: tuple[Slot, ...]
    transactions: int = Field(default=0, description="Synthetic transactions whose time was taken.")
    mean_s: float | None = None
    p95_s: float | None = None


class NightState(StrEnum):
    """What became of one night's check."""

    CHECKED = "checked"
    BROKEN_OFF = "broken_off"
    MISSING = "missing"
    BEFORE = "before"
    AHEAD = "ahead"


class NightFigures(Frozen):
    """One night's comparison. Counts are records over all sources; None where nothing was compared."""

    date: str
    state: NightState
    verdict: Verdict | None = None
    compared: int | None = None
    counts: dict[str, int] = Field(default_factory=dict, description="By `SYNC_KINDS`.")
    unreadable: tuple[str, ...] = Field(default=(), description="Sources that could not be compared.")
    reasons: dict[str, int] = Field(default_factory=dict, description="`kind/reason` of what was wrong.")
    detail: str = ""


class IncidentFigures(Frozen):
    """One incident that was open in the month."""

    key: str
    message: str
    opened_at: datetime
    closed_at: datetime | None
    occurrences: int
    told: bool


class FieldFill(Frozen):
    """The share of records with a value, at the first and the last night that measured it."""

    field: str
    label: str
    required: bool
    first: float | None
    last: float | None


class QualityFigures(Frozen):
    """The data quality of one entity."""

    entity: str
    records: int
    fields: tuple[FieldFill, ...]
    duplicates: dict[str, tuple[int, int]] = Field(description="By match key: likely duplicates, first and last night.")


class VolumeFigures(Frozen):
    """Records of one entity of the CRM at the first and the last night that counted them."""

    entity: str
    first: int
    last: int


class PermissionFigures(Frozen):
    """One user's change of standing, found in the night of a date."""

    date: str
    login: str
    before: str
    after: str


class OperationReport(Frozen):
    """The monthly operation report. Every figure comes from the journal."""

    project: str
    project_en: str = ""
    company: str
    company_en: str = ""
    month: str
    time_zone: str
    written_at: datetime = Field(description="Aware.")
    is_over: bool = Field(description="Whether the month was over when the report was written.")
    began_at: datetime | None = Field(description="When operation began; None: it has not.")
    health_every_min: int
    labels: dict[str, EntityLabel] = Field(default_factory=dict)
    days: tuple[DayFigures, ...]
    nights: tuple[NightFigures, ...]
    incidents: tuple[IncidentFigures, ...]
    quality: tuple[QualityFigures, ...]
    volumes: tuple[VolumeFigures, ...]
    permissions: tuple[PermissionFigures, ...]
    permission_nights: int = Field(description="Nights in which the CRM told its users.")
    quality_dates: tuple[str, ...] = Field(default=(), description="First and last night with data quality.")

    @property
    def expected(self) -> int:
        """Health checks that the schedule asked for."""
        return sum(day.expected for day in self.days)

    @property
    def measured(self) -> int:
        """Those of them that took place."""
        return sum(day.measured for day in self.days)

    @property
    def available(self) -> int:
        """Those of them in which every availability probe was fine."""
        return sum(day.available for day in self.days)

    @property
    def availability(self) -> float | None:
        """Share of what was measured; None: nothing was."""
        return self.available / self.measured if self.measured else None

    @property
    def least_availability(self) -> float | None:
        """Share of what was expected, as if everything that was not measured had failed."""
        return self.available / self.expected if self.expected else None

    @property
    def checked(self) -> int:
        """Nights that were checked."""
        return sum(night.state is NightState.CHECKED for night in self.nights)

    @property
    def due_nights(self) -> int:
        """Nights of operation whose time has come."""
        return sum(night.state not in (NightState.BEFORE, NightState.AHEAD) for night in self.nights)

    @property
    def was_before(self) -> bool:
        """Whether part of the month, or all of it, lay before operation."""
        return any(Slot.BEFORE in day.slots for day in self.days)
