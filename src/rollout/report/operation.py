"""The monthly operation report as HTML: a strip of availability, a line of latency, the nights; gaps stay gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rollout.model.verdict import Verdict
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.alerts import incident_name, span
from rollout.report.html import render
from rollout.report.messages import Messages, messages
from rollout.report.operation_documents import (
    SYNC_KINDS,
    DayFigures,
    IncidentFigures,
    NightFigures,
    NightState,
    OperationReport,
    Slot,
)

WIDTH, LEFT = 1000.0, 62.0
"""Of the charts, in their own units; days start right of the axis."""
CELL_HEIGHT = 9.0
LATENCY_HEIGHT = 150.0
NIGHT_HEIGHT = 24.0


@dataclass(frozen=True)
class Cell:
    """A rectangle of a chart."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    text: str = ""
    title: str = ""


@dataclass(frozen=True)
class Line:
    """A stretch of a line without gap; one of a single point is a dot."""

    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """As SVG writes points."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def render_operation(report: OperationReport, language: Language) -> str:
    """The document as one self-contained HTML text."""
    t = messages(language)
    return render(
        "operation.html.jinja",
        language,
        company=t.label(report.company, report.company_en) or report.project,
        doc=report,
        strip=availability_strip(report.days, t),
        strip_height=CELL_HEIGHT * max(len(day.slots) for day in report.days),
        ticks=[(x + _step(report.days) / 2, day.date[-2:]) for x, day in _places(report.days)],
        hours=[(place / 4, hour) for place, hour in enumerate(("00", "06", "12", "18"))],
        slots_known=sorted({slot for day in report.days for slot in day.slots}, key=list(Slot).index),
        latency=[("p95", lines(report.days, "p95_s")), ("mean", lines(report.days, "mean_s"))],
        latency_top=latency_top(report.days),
        latency_height=LATENCY_HEIGHT,
        night_cells=night_grid(report.nights, t),
        night_rows=[(NIGHT_HEIGHT * (place + 0.5), t(f"sync_kind.{kind}")) for place, kind in enumerate(SYNC_KINDS)],
        night_height=NIGHT_HEIGHT * len(SYNC_KINDS),
        wrong_nights=[night for night in report.nights if _is_notable(night)],
        missing_nights=[night.date for night in report.nights if night.state is NightState.MISSING],
        sync_kinds=SYNC_KINDS,
        incident_name=lambda key: incident_name(t, key),
        lasted=lambda incident: lasted(incident, report, t),
        reason=lambda name: reason(t, name),
        entity_name=lambda name: _label(report, t, name),
        seconds=seconds,
    )


def availability_strip(days: Sequence[DayFigures], t: Messages) -> list[Cell]:
    """A column a day, a cell a stretch of it, midnight at the top."""
    return [
        Cell(
            x,
            place * CELL_HEIGHT,
            _step(days) - 2,
            CELL_HEIGHT - 1,
            slot.value,
            title=f"{day.date} {t('slot.' + slot)}",
        )
        for x, day in _places(days)
        for place, slot in enumerate(day.slots)
    ]


def latency_top(days: Sequence[DayFigures]) -> float:
    """Seconds at the top of the latency chart: a round figure above everything measured."""
    most = max((day.p95_s for day in days if day.p95_s is not None), default=0.0)
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if most <= step * 5)
    return step * 5


def lines(days: Sequence[DayFigures], name: str) -> list[Line]:
    """The line of a figure, broken wherever a day has none."""
    top, found, points = latency_top(days), [], list[tuple[float, float]]()
    for x, day in _places(days):
        value = getattr(day, name)
        if value is None:
            found.append(Line(tuple(points)))
            points = []
        else:
            points.append((x + _step(days) / 2, LATENCY_HEIGHT * (1 - value / top)))
    found.append(Line(tuple(points)))
    return [line for line in found if line.points]


def night_grid(nights: Sequence[NightFigures], t: Messages) -> list[Cell]:
    """A column a night, a row a kind; a night without figures is one hatched column."""
    cells = []
    for x, night in _places(nights):
        width = _step(nights) - 2
        if night.state is not NightState.CHECKED or not night.counts:
            kind = night.state.value if night.state in (NightState.BEFORE, NightState.AHEAD) else "unmeasured"
            title = f"{night.date} {t('night.' + night.state)}"
            cells.append(Cell(x, 0, width, NIGHT_HEIGHT * len(SYNC_KINDS) - 2, kind, title=title))
            continue
        for place, name in enumerate(SYNC_KINDS):
            count = night.counts.get(name, 0)
            kind = "up" if not count else "down" if place < 4 else "told"  # noqa: PLR2004 - the first four are wrong
            title = f"{night.date} {t('sync_kind.' + name)} {count}"
            text = figures.number(count) if count else ""
            cells.append(Cell(x, place * NIGHT_HEIGHT, width, NIGHT_HEIGHT - 2, kind, text, title))
    return cells


def lasted(incident: IncidentFigures, report: OperationReport, t: Messages) -> str:
    """How long an incident was open, or how long it has been."""
    return span(t, (incident.closed_at or report.written_at) - incident.opened_at)


def reason(t: Messages, name: str) -> str:
    """`kind/reason` in words."""
    kind, _, because = name.partition("/")
    words = t.word("because", because) if f"because.{because}" in t.texts else t.word("reason", because)
    return f"{t.word('sync_kind', kind)}: {words}" if because else t.word("sync_kind", kind)


def seconds(value: float | None) -> str:
    """``0.123 s``; a dash for nothing."""
    return "–" if value is None else f"{value:.3f} s"


def _label(report: OperationReport, t: Messages, entity: str) -> str:
    label = report.labels.get(entity)
    return t.label(label.zh, label.en) if label else t.word("crm_entity", entity)


def _is_notable(night: NightFigures) -> bool:
    """Whether a night has something to tell besides "all in order"."""
    if night.state is NightState.CHECKED:
        return night.verdict is not Verdict.PASS or bool(night.reasons or night.unreadable)
    return night.state is NightState.BROKEN_OFF


def _step(days: Sequence[object]) -> float:
    return (WIDTH - LEFT) / len(days)


def _places(days: Sequence[Any]) -> list[tuple[float, Any]]:
    return [(LEFT + _step(days) * place, day) for place, day in enumerate(days)]
