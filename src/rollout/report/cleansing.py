"""The data cleansing report (《数据清洗报告》): one HTML file a language, from recorded figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.finding import Finding
from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.documents import EntityLabel
from rollout.report.html import render
from rollout.report.messages import Messages, messages

PLACES = ("golden", "merged", "quarantined", "skipped")
"""Where a source row can be after cleansing."""
DONE = ("quarantined", "dropped", "defaulted", "kept")
"""What can be done about an anomaly."""
CHOICES = ("keep", "frozen", "pool", "leave_out", "undecided")
_COLOURS = {"golden": "created", "merged": "merged", "quarantined": "quarantined", "skipped": "skipped"}
"""Classes of the style sheet."""
_DONE_COLOURS = {"quarantined": "quarantined", "dropped": "s1", "defaulted": "s2", "kept": "created"}
BOOK_KEYS = (
    *(f"cleansing.{part}.{name}" for name in PLACES for part in ("place", "place_meaning")),
    *(f"cleansing.done.{name}" for name in DONE),
    *(f"cleansing.choice.{name}" for name in CHOICES),
    *(f"cleansing.rule.{name}" for name in ("repeated row", "model", "decision")),
)
"""Words that are composed."""


class FieldFigures(Frozen):
    """What became of a field's cells."""

    name: str
    label: str
    filled: int
    kept: int
    changed: int

    @property
    def plain(self) -> int:
        """Cells that read as before."""
        return self.kept - self.changed

    @property
    def lost(self) -> int:
        """Cells that have no value any more, or whose row is held back by them."""
        return max(self.filled - self.kept, 0)


class DormantFigures(Frozen):
    """Dormant records and what was decided."""

    as_of: date
    after_years: float
    found: int
    choices: dict[str, int] = Field(description="By choice; undecided among them.")
    left_out_rows: int


class EntityFigures(Frozen):
    """What became of an entity's rows."""

    name: str
    source: int
    golden: int
    merged: int
    quarantined: int
    skipped: int
    by_source: dict[str, int] = Field(description="Source rows by source.")
    skipped_by: dict[str, int] = Field(default_factory=dict, description="Skipped rows by reason code.")
    merged_by: dict[str, int] = Field(default_factory=dict, description="Merged rows by rule.")
    waves: dict[str, int]
    repaired: int
    left_out: int
    dormant: DormantFigures | None
    fields: tuple[FieldFigures, ...]
    findings: tuple[Finding, ...] = Field(description="Anomalies of values and rows.")

    @property
    def accounted(self) -> bool:
        """Whether every source row is in exactly one place."""
        return self.source == sum(int(getattr(self, place)) for place in PLACES)


class CleansingReport(Frozen):
    """All that the report prints; personal data is not among it."""

    project: str
    project_en: str = ""
    company: str
    run_id: str
    cleansed_at: datetime
    time_zone: str
    labels: dict[str, EntityLabel]
    entities: tuple[EntityFigures, ...]


def render_cleansing(report: CleansingReport, language: Language) -> str:
    """The report as one self-contained HTML text.

    Args:
        report: The figures.
        language: zh or en.
    """
    t = messages(language)
    return render(
        "cleansing.html.jinja",
        language,
        company=t.label(report.company, report.project_en) or report.project,
        doc=report,
        totals={name: sum(getattr(entity, name) for entity in report.entities) for name in ("source", *PLACES)},
        places=PLACES,
        choices=CHOICES,
        parts=_parts,
        swatch=lambda place: _COLOURS[place],
        anomalies=lambda entity: _anomalies(entity, t),
        chart=_chart(report, t),
        cells=_cells,
        name=lambda entity: t.label(report.labels[entity].zh, report.labels[entity].en),
        done_colour=lambda done: _DONE_COLOURS.get(done, "s3"),
    )


class _Anomaly(Frozen):
    """A line of the list: what was seen, how often, and what was done."""

    entity: str
    where: str
    title: str
    advice: str
    done: str
    rows: int
    share: float | None
    first: str


def _parts(entity: EntityFigures) -> Sequence[figures.Part]:
    return figures.stacked([(_COLOURS[place], getattr(entity, place)) for place in PLACES])


def _cells(field: FieldFigures) -> Sequence[figures.Part]:
    return figures.stacked([("created", field.plain), ("s2", field.changed), ("quarantined", field.lost)])


def _anomalies(entity: EntityFigures, t: Messages) -> list[_Anomaly]:
    labels = {field.name: field.label or field.name for field in entity.fields}
    found = []
    for finding in entity.findings:
        _, _, field = finding.where.partition(".")
        rows = finding.count or 0
        found.append(
            _Anomaly(
                entity=entity.name,
                where=labels.get(field, field),
                title=t.finding_title(finding),
                advice=t.finding_advice(finding),
                done=str(finding.detail.get("done", "")),
                rows=rows,
                share=rows / entity.source if entity.source and rows <= entity.source else None,
                first=str(finding.detail.get("first", "")),
            )
        )
    return sorted(found, key=lambda anomaly: (-anomaly.rows, anomaly.where, anomaly.title))


def _chart(report: CleansingReport, t: Messages, *, most: int = 20) -> list[tuple[str, str, _Anomaly, float]]:
    """The most frequent anomalies over all entities: label, colour, anomaly, share of the longest bar."""
    every = [anomaly for entity in report.entities for anomaly in _anomalies(entity, t) if anomaly.rows]
    every.sort(key=lambda anomaly: -anomaly.rows)
    longest = every[0].rows if every else 1
    told: list[tuple[str, str, _Anomaly, float]] = []
    for anomaly in every[:most]:
        names: Mapping[str, EntityLabel] = report.labels
        label = t.label(names[anomaly.entity].zh, names[anomaly.entity].en)
        where = f"{label} · {anomaly.where}" if anomaly.where else label
        told.append((where, _DONE_COLOURS.get(anomaly.done, "s3"), anomaly, anomaly.rows / longest))
    return told
