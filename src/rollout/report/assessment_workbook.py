"""The assessment as a workbook: every finding and every figure in lines that people can sort and filter; all masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from rollout.assess.findings import by_severity
from rollout.assess.model import Assessment, EntityProfile, FieldProfile, SourceProfile
from rollout.assess.score import HEALTH, health_of, score
from rollout.project.spec import Language
from rollout.report.assessment import score_formula
from rollout.report.figures import points
from rollout.report.messages import Messages, messages
from rollout.report.workbook_cells import book_bytes, put_text, write_private

Row = Sequence[str | float | int | None]

SHEETS = (
    *("overview", "findings", "entities", "fields", "violations", "duplicates", "dormancy"),
    *("owners", "references", "volumes", "advice"),
)
_COLUMNS = (
    *("figure", "value", "level", "finding", "advice", "id", "entity", "source", "column", "field", "type", "where"),
    *("rows", "records", "score", "share", "filled", "distinct", "low", "high", "shortest", "longest", "invalid"),
    *("placeholders", "formats", "top", "rule", "done", "key", "exact", "likely", "method", "sampled", "dormant"),
    *("never", "cutoff", "owner", "kind", "unknown", "points_to", "year", "reason", "proposal", "required"),
)
BOOK_KEYS = (
    *(f"assess_book.sheet.{name}" for name in SHEETS),
    *(f"assess_book.column.{name}" for name in _COLUMNS),
    *(f"assess_book.method.{name}" for name in ("model", "name", "none")),
    *(f"assess_book.owner.{name}" for name in ("user", "unknown", "pool", "blank")),
    *(f"assessed.{part}_{name}" for part in ("method",) for name in ("model", "name", "none")),
    *(f"assessed.grade_{name}" for name in ("good", "open", "bad")),
    *(f"assessed.owner_{name}" for name in ("mapped", "unknown", "pool", "blank")),
    *(f"assessed.{name}" for name in ("unique", "exact", "likely")),
    *(f"health.{name}.{part}" for name in HEALTH for part in ("name", "formula")),
    *(f"method.{name}.{part}" for name in ("likely", "dormant", "orphan", "owner") for part in ("name", "text")),
    *(
        f"suggested.{name}"
        for name in (
            *("name", "synonym", "name_part", "name_similar", "type", "picklist", "owner", "reference", "overlap"),
        )
    ),
)
"""Words that are composed from a prefix and a name, here and in the document."""

_HEAD = PatternFill("solid", fgColor="E3ECEF")
_WIDEST, _NARROWEST = 60, 9


def write_assessment_workbook(folder: Path, name: str, assessment: Assessment, language: Language) -> Path:
    """Write the workbook under its name, in place of the one before; answers its path."""
    path = folder / name
    write_private(path, book_bytes(assessment_book(assessment, language)))
    return path


def assessment_book(assessment: Assessment, language: Language) -> Workbook:
    """The workbook: a sheet a subject, the findings second."""
    t = messages(language)
    book = Workbook()
    book.remove(book.worksheets[0])
    for sheet, rows in _sheets(assessment, t):
        _fill(book.create_sheet(t(f"assess_book.sheet.{sheet}")), rows)
    return book


def _fill(sheet: Worksheet, rows: Iterator[Row]) -> None:
    widths: dict[int, int] = {}
    for at, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            if isinstance(value, str):
                cell = put_text(sheet, at, place, value)
                cell.alignment = Alignment(vertical="top", wrap_text=True)
            else:
                cell = sheet.cell(at, place, value)
            if at == 1:
                cell.font, cell.fill = Font(bold=True), _HEAD
            widths[place] = max(widths.get(place, _NARROWEST), _width(value))
    for place, width in widths.items():
        sheet.column_dimensions[get_column_letter(place)].width = min(width + 2, _WIDEST)
    sheet.freeze_panes = "A2"
    if sheet.max_row > 1:
        sheet.auto_filter.ref = sheet.dimensions


def _width(value: str | float | None) -> int:
    """Signs a cell needs; Chinese ones take two."""
    return sum(2 if ord(sign) > 0x2E80 else 1 for sign in str(value or ""))  # noqa: PLR2004 - where wide signs begin


def _sheets(doc: Assessment, t: Messages) -> Iterator[tuple[str, Iterator[Row]]]:
    yield "overview", _overview(doc, t)
    yield "findings", _findings(doc, t)
    yield "entities", _entities(doc, t)
    yield "fields", _fields(doc, t)
    yield "violations", _violations(doc, t)
    yield "duplicates", _duplicates(doc, t)
    yield "dormancy", _dormancy(doc, t)
    yield "owners", _owners(doc, t)
    yield "references", _references(doc, t)
    yield "volumes", _volumes(doc, t)
    yield "advice", _advice(doc, t)


def _head(t: Messages, *names: str) -> Row:
    return [t(f"assess_book.column.{name}") for name in names]


def _name(entity: EntityProfile, t: Messages) -> str:
    return t.label(entity.label, entity.label_en) or entity.name


def _overview(doc: Assessment, t: Messages) -> Iterator[Row]:
    health = health_of(doc.entities)
    yield _head(t, "figure", "value", "share")
    yield t("assessment.title"), t.label(doc.company, doc.company_en), None
    yield t("document.project"), t.label(doc.project, doc.project_en), None
    yield t("document.assessed_at"), f"{doc.assessed_at.astimezone(ZoneInfo(doc.time_zone)):%Y-%m-%d %H:%M}", None
    yield t("assessed.score"), points(score(health)), None
    yield t("assessed.formula"), score_formula(health, t), None
    for name, ratio in health.items():
        yield t(f"health.{name}.name"), f"{ratio.part:,} ÷ {ratio.whole:,}", _rounded(ratio.share)


def _findings(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "level", "finding", "where", "rows", "advice", "id")
    for one in by_severity(list(doc.findings)):
        level = t(f"level.{one.level.value}")
        yield level, t.finding_title(one), one.where, one.count, t.finding_advice(one), one.id


def _entities(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield [*_head(t, "entity", "rows", "score"), *(t(f"health.{name}.name") for name in HEALTH)]
    for entity in doc.entities:
        health = health_of([entity])
        total = score(health)
        shares = [_rounded(ratio.share) for ratio in health.values()]
        yield [_name(entity, t), entity.rows, None if total is None else round(total, 1), *shares]


def _fields(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(
        t,
        *("entity", "source", "column", "field", "type", "required", "rows", "filled", "share", "distinct"),
        *("low", "high", "shortest", "longest", "invalid", "placeholders", "formats", "top"),
    )
    for entity, source, field in _columns(doc):
        yield [
            *(_name(entity, t), source.name, field.column, ", ".join(field.targets)),
            t(f"type.{field.type.value}") if field.type else "",
            "✓" if field.required else "",
            *(field.rows, field.filled, _rounded(field.fill.share), field.distinct, field.low, field.high),
            *(field.min_length, field.max_length, field.invalid, field.placeholders),
            _shares([(one.pattern, one.rows) for one in field.formats], field.sampled),
            _shares([(one.value, one.rows) for one in field.top], field.sampled)
            or _shares([(one.value, one.rows) for one in field.values], field.filled),
        ]


def _violations(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "source", "column", "rule", "rows", "done", "id")
    for entity, source in doc.sources:
        found = [(field.column, one) for field in source.fields for one in field.violations]
        for column, one in [*found, *(("", one) for one in source.row_rules)]:
            reason = t.word("reason", one.code)
            yield _name(entity, t), source.name, column, reason, one.rows, t.word("done", one.done), one.code


def _duplicates(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "records", "key", "exact", "likely", "method", "sampled")
    for entity in doc.entities:
        if entity.figures is None:
            continue
        found = entity.figures.duplicates
        method = t(f"assess_book.method.{found.method}")
        yield _name(entity, t), found.records, "", found.exact, found.likely, method, found.sampled
        for key in found.keys:
            yield _name(entity, t), None, key.name, key.records, None, "", None


def _dormancy(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "records", "dormant", "never", "cutoff", "figure", "value")
    for entity in doc.entities:
        found = entity.figures.dormancy if entity.figures else None
        if found is None:
            continue
        name = _name(entity, t)
        yield name, found.records, found.dormant, found.never, found.cutoff.isoformat(), "", None
        for band in found.ages:
            age = t("assessed.age", low=band.years, high=band.years + 1)
            yield name, None, None, None, "", age, band.records
        for kind in found.kinds:
            yield name, None, None, None, "", f"{t('assessed.kinds')}: {kind.kind}", kind.records


def _owners(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "kind", "owner", "rows")
    for entity in doc.entities:
        found = entity.figures.owners if entity.figures else None
        if found is None:
            continue
        name = _name(entity, t)
        yield from ((name, t("assess_book.owner.user"), one.name, one.rows) for one in found.users)
        yield from ((name, t("assess_book.owner.unknown"), one.name, one.rows) for one in found.unknown_top)
        yield name, t("assess_book.owner.pool"), "", found.pool
        yield name, t("assess_book.owner.blank"), "", found.blank


def _references(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "source", "column", "points_to", "rows", "unknown", "share")
    for entity, source in doc.sources:
        for one in source.references:
            share = one.unknown / one.rows if one.rows else None
            yield _name(entity, t), source.name, one.column, one.entity, one.rows, one.unknown, _rounded(share)


def _volumes(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "field", "source", "year", "records")
    for entity in doc.entities:
        found = entity.figures.volumes if entity.figures else None
        if found is None:
            continue
        name, field = _name(entity, t), found.label or found.field
        yield from ((name, field, one.source, one.year, one.records) for one in found.years)
        yield name, field, "", None, found.undated


def _advice(doc: Assessment, t: Messages) -> Iterator[Row]:
    yield _head(t, "entity", "source", "column", "field", "proposal", "rows", "reason")
    for one in doc.advice.columns:
        told = ", ".join(_reason(t, item.code, item.share) for item in one.reasons)
        yield one.entity, one.source, one.column, one.target, one.transform, None, f"{one.score:.0%}: {told}"
    for date in doc.advice.dates:
        ways = ", ".join(f"{way} {share:.1%}" for way, share in date.layouts.items())
        proposal = date.likely or t("assessed.person_says")
        yield date.entity, date.source, date.column, date.label, proposal, date.undecided, ways
    for line in doc.advice.values:
        yield line.entity, line.source, line.raw, line.field, line.value or t("assessed.person_says"), line.rows, ""


def _reason(t: Messages, code: str, share: float | None) -> str:
    word = t.word("suggested", code)
    return word if share is None else f"{word} {share:.0%}"


def _columns(doc: Assessment) -> Iterator[tuple[EntityProfile, SourceProfile, FieldProfile]]:
    for entity, source in doc.sources:
        for field in source.fields:
            yield entity, source, field


def _shares(found: Sequence[tuple[str, int]], whole: int) -> str:
    return "; ".join(f"{name} {rows / whole:.1%}" for name, rows in found) if whole else ""


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
