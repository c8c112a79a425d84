"""Geometry of the assessment's charts: bars a year, bars of age, and what the documents list beside them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollout.assess.entity_model import Dormancy, Duplicates, EntityFigures, OwnerCount, Owners, Volumes
from rollout.assess.model import EntityProfile, Ratio
from rollout.report import figures
from rollout.report.messages import Messages

MOST_YEARS = 12
_LEAST_YEARS = 7
"""So that the column of a single year is no wall."""
_TOP_SWATCH = 8


@dataclass(frozen=True)
class EntityRow:
    """An entity, what people call it, and its health."""

    entity: EntityProfile
    label: str
    health: Mapping[str, Ratio]
    score: float | None

    @property
    def figures(self) -> EntityFigures | None:
        """What was found of it as a whole."""
        return self.entity.figures


@dataclass(frozen=True)
class Piece:
    """A part of a column: percent of the plot from its top."""

    key: str
    title: str
    y: float
    height: float


@dataclass(frozen=True)
class Column:
    """A year's column: percent of the plot from its left."""

    label: str
    records: int
    x: float
    width: float
    y: float
    pieces: tuple[Piece, ...]

    @property
    def middle(self) -> float:
        """Percent at which the label stands."""
        return round(self.x + self.width / 2, 3)


@dataclass(frozen=True)
class YearChart:
    """Columns by year, stacked by source, and the colours of the sources."""

    columns: tuple[Column, ...]
    sources: tuple[tuple[str, str], ...]


def year_chart(volumes: Volumes) -> YearChart:
    """The last years each by itself, the earlier ones together; a year without records keeps its place."""
    sources = tuple(dict.fromkeys(one.source for one in volumes.years))
    keys = {source: f"s{min(place, _TOP_SWATCH)}" for place, source in enumerate(sources)}
    counts: dict[int, dict[str, int]] = {}
    for one in volumes.years:
        counts.setdefault(one.year, {})[one.source] = one.records
    if not counts:
        return YearChart((), ())
    last = max(counts)
    first = max(min(counts), last - MOST_YEARS + 1)
    early: dict[str, int] = {}
    for year in [year for year in counts if year < first]:
        for source, records in counts.pop(year).items():
            early[source] = early.get(source, 0) + records
    shown = [(str(year), counts.get(year, {})) for year in range(first, last + 1)]
    if early:
        shown.insert(0, (f"< {first}", early))
    highest = max(sum(found.values()) for _, found in shown)
    room = 100 / max(len(shown), _LEAST_YEARS)
    columns = tuple(
        _column(label, found, keys, highest=highest, x=place * room, room=room)
        for place, (label, found) in enumerate(shown)
    )
    return YearChart(columns, tuple(keys.items()))


def _column(
    label: str, found: Mapping[str, int], keys: Mapping[str, str], *, highest: int, x: float, room: float
) -> Column:
    pieces, top = [], 100.0
    for source, key in keys.items():
        if records := found.get(source, 0):
            height = 100 * records / highest
            top -= height
            title = f"{label} · {source} · {figures.number(records)}"
            pieces.append(Piece(key, title, round(max(top, 0.0), 3), round(height, 3)))
    return Column(
        label,
        sum(found.values()),
        round(x + room * 0.12, 3),
        round(room * 0.76, 3),
        round(max(top, 0.0), 3),
        tuple(pieces),
    )


@dataclass(frozen=True)
class Bar:
    """A bar of a list: its words, its figure, its share of the longest, and how it is coloured."""

    label: str
    value: int
    share: float
    kind: str = ""


def age_bars(dormancy: Dormancy, t: Messages) -> tuple[Bar, ...]:
    """Records by whole years since they were last heard of; those beyond the limit stand out."""
    limit = dormancy.after_years
    last = int(limit) + 3
    counts: dict[int, int] = {}
    for band in dormancy.ages:
        years = min(band.years, last)
        counts[years] = counts.get(years, 0) + band.records
    found = [
        (
            t("assessed.age_over", years=years)
            if years == last
            else t("assessed.age_under")
            if years == 0
            else t("assessed.age", low=years, high=years + 1),
            counts.get(years, 0),
            "bad" if years >= limit else "",
        )
        for years in range(last + 1)
    ]
    found.append((t("assessed.never"), dormancy.never, "bad"))
    return bars(found)


def owner_bars(found: Sequence[OwnerCount], kind: str) -> tuple[Bar, ...]:
    """Rows by owner."""
    return bars([(one.name, one.rows, kind) for one in found])


def owned(entities: Sequence[EntityRow]) -> list[tuple[EntityRow, Owners]]:
    """The entities whose mappings name owners."""
    return [(one, one.figures.owners) for one in entities if one.figures and one.figures.owners]


def owner_parts(found: Owners) -> Sequence[figures.Part]:
    """Rows by what the owner map says."""
    told = (("mapped", found.mapped), ("pool", found.pool), ("unknown", found.unknown), ("blank", found.blank))
    return figures.stacked([(f"owner-{key}", rows) for key, rows in told])


def field_labels(entity: EntityProfile, names: Sequence[str]) -> list[str]:
    """What people call some fields."""
    return [field_label(entity, name) for name in names]


def field_label(entity: EntityProfile, name: str) -> str:
    """What people call a field that some column fills."""
    found = (field.label for source in entity.sources for field in source.fields if name in field.targets)
    return next(filter(None, found), name)


def bars(found: Sequence[tuple[str, int, str]]) -> tuple[Bar, ...]:
    """Bars as long as their figures."""
    highest = max((value for _, value, _ in found), default=0) or 1
    return tuple(Bar(label, value, value / highest, kind) for label, value, kind in found)


def duplicate_parts(duplicates: Duplicates) -> Sequence[figures.Part]:
    """Records that stay, those that exact keys merge, and those that are likely the same."""
    return figures.stacked(
        [("unique", duplicates.unique), ("exact", duplicates.exact), ("likely", duplicates.likely or 0)]
    )
