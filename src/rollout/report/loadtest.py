"""The load test report (《压力测试报告》): verdict, times, throughput; from a `LoadTestDocument` alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from rollout.assess.findings import by_severity
from rollout.model.base import Frozen
from rollout.model.finding import Finding
from rollout.model.loadtest import LoadFigures, LoadSettings
from rollout.model.progress import Override
from rollout.model.verdict import GateResult
from rollout.project.spec import Language
from rollout.report import plots
from rollout.report.acceptance import observed, threshold
from rollout.report.assessment import FindingRow
from rollout.report.html import render
from rollout.report.messages import Messages, messages
from rollout.report.status import override_text

SETTINGS = ("users", "ramp_s", "hold_s")
"""Figures of `LoadSettings` that a run may change."""


class LoadTestDocument(Frozen):
    """What the report prints. Every figure comes from the journal."""

    project: str
    project_en: str = ""
    company: str
    company_en: str = ""
    target: str
    run_id: str
    written_at: datetime = Field(description="Aware.")
    time_zone: str = "UTC"
    settings: LoadSettings = Field(description="What was run.")
    asked: LoadSettings = Field(description="What the project asks.")
    figures: LoadFigures
    gate: GateResult
    key_prefix: str
    removed: int
    not_removed: int
    leftovers_removed: int
    findings: tuple[Finding, ...] = ()
    overrides: tuple[Override, ...] = Field(default=(), description="Who went on in spite of the gate.")

    @property
    def reduced(self) -> tuple[str, ...]:
        """Names of the settings in which less was run than the project asks."""
        return tuple(name for name in SETTINGS if getattr(self.settings, name) < getattr(self.asked, name))


@dataclass(frozen=True)
class TimePlot:
    """Seconds of a request over the time of the test, and the users below it on the same time axis."""

    x: plots.Axis
    seconds: plots.Axis
    users: plots.Axis
    mean: tuple[str, ...]
    p95: tuple[str, ...]
    crowd: str
    limit: float | None
    """Percent from the top at which the mean's threshold lies."""
    hold: tuple[float, float] | None
    """Percent from the left at which the hold begins, and its width."""


@dataclass(frozen=True)
class LoadPlot:
    """Requests a second against the number of users."""

    x: plots.Axis
    y: plots.Axis
    line: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


def render_loadtest(doc: LoadTestDocument, language: Language) -> str:
    """The document as one self-contained HTML text."""
    t = messages(language)
    return render(
        "loadtest.html.jinja",
        language,
        company=t.label(doc.company, doc.company_en) or doc.project,
        doc=doc,
        times=time_plot(doc),
        load=load_plot(doc),
        settings=SETTINGS,
        findings=[FindingRow(finding, None) for finding in by_severity(list(doc.findings))],
        error_name=lambda kind: error_name(kind, t),
        mix_total=sum(doc.settings.mix.values()),
        observed=observed,
        threshold=threshold,
        override_text=lambda override: override_text(override, language, doc.time_zone),
    )


def error_name(kind: str, t: Messages) -> str:
    """What a kind of failure is called."""
    if kind.startswith("http_"):
        return t("loadtest.error_http", status=kind.removeprefix("http_"))
    return t.word("loadtest", f"error_{kind}")


def time_plot(doc: LoadTestDocument) -> TimePlot:
    """Place the series. The threshold is drawn where it does not press the lines flat."""
    series = doc.figures.series
    x = plots.axis((point.at_s for point in series), least=10, exact=True)
    limit = next((result.threshold for result in doc.gate.criteria if result.metric == "mean_s"), None)
    seconds = plots.axis((value for point in series for value in (point.mean_s, point.p95_s)), least=0.05)
    users = plots.axis((point.users for point in series), least=max(doc.settings.users, 5), steps=2)
    began = doc.figures.hold_from_s
    hold = None if began is None else (x.at(began), round(x.at(began + doc.settings.hold_s) - x.at(began), 3))
    return TimePlot(
        x=x,
        seconds=seconds,
        users=users,
        mean=plots.lines([(point.at_s, point.mean_s) for point in series], x, seconds),
        p95=plots.lines([(point.at_s, point.p95_s) for point in series], x, seconds),
        crowd=plots.area([(point.at_s, point.users) for point in series], x, users),
        limit=round(100 - seconds.at(limit), 3) if limit is not None and limit <= seconds.top else None,
        hold=hold,
    )


def load_plot(doc: LoadTestDocument) -> LoadPlot:
    """Place the buckets at the middle of their range of users."""
    points = [((b.users_from + min(b.users_to, doc.settings.users)) / 2, b.ok_per_s) for b in doc.figures.by_users]
    x = plots.axis((at for at, _ in points), least=max(doc.settings.users, 5), exact=True)
    y = plots.axis((value for _, value in points), least=1)
    return LoadPlot(
        x=x,
        y=y,
        line=plots.lines([(0.0, 0.0), *points], x, y),
        dots=tuple((x.at(at), round(100 - y.at(value), 3)) for at, value in points),
    )
