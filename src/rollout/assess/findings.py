"""Profiles → findings. Levels: ``error`` needs the project corrected, ``warning`` needs a person who knows the data,
``info`` is put right on the way or is good to know. Pure.
"""  # noqa: D205 - the levels belong together

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollout.assess.entity_findings import findings_of_figures
from rollout.assess.model import EntityProfile, FieldProfile, SourceProfile
from rollout.model.entity import FieldType
from rollout.model.finding import Finding, Level

LOW_FILL = 0.5
"""Share below which a mapped, optional field is reported."""

MINOR_FORMATS = 0.05
"""Share of rows outside the commonest format from which a field's formats are called mixed."""

_INVALID = {
    FieldType.PHONE: "assess.invalid_phone",
    FieldType.EMAIL: "assess.invalid_email",
    FieldType.DATE: "assess.invalid_date",
    FieldType.DATETIME: "assess.invalid_date",
    FieldType.USCC: "assess.invalid_uscc",
    FieldType.INTEGER: "assess.invalid_number",
    FieldType.DECIMAL: "assess.invalid_number",
    FieldType.BOOLEAN: "assess.invalid_boolean",
    FieldType.PICKLIST: "assess.invalid_picklist",
}
_UNKNOWN_TO_A_MAP = {
    "owner_unknown": "assess.owner_unknown",
    "owner_defaulted": "assess.owner_unknown",
    "value_unmapped": "assess.value_unmapped",
    "code_unmapped": "assess.code_unmapped",
}
"""By reason code: the finding where nothing else is wrong with a column's values."""
_FORMATTED = (FieldType.PHONE, FieldType.DATE, FieldType.DATETIME)
_LEVEL_ORDER = {Level.ERROR: 0, Level.WARNING: 1, Level.INFO: 2}


def findings_of(entity: EntityProfile) -> list[Finding]:
    """The findings of one entity, in the order of its sources and columns."""
    found = [finding for source in entity.sources for finding in _of_source(source)]
    return found if entity.figures is None else [*found, *findings_of_figures(entity.name, entity.figures)]


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Worst first: by level, then by the rows concerned, then by id and place."""
    return sorted(findings, key=lambda f: (_LEVEL_ORDER[f.level], -(f.count or 0), f.id, f.where))


def _of_source(source: SourceProfile) -> Iterator[Finding]:
    for column in source.missing_columns:
        yield Finding(
            id="assess.column_missing",
            level=Level.ERROR,
            message=f"the mapping reads column '{column.column}', which is not in {', '.join(column.files)}",
            where=f"{source.name}/{column.column}",
            hint="correct the column's name in the mapping, or ask for a complete file",
            detail={"files": ", ".join(column.files)},
        )
    if source.rows == 0:
        yield Finding(
            id="assess.source_empty",
            level=Level.WARNING,
            message="the source has no rows",
            where=source.name,
            hint="check the file pattern and the sheet, or ask for the data",
            count=0,
        )
        return
    yield from _of_rows(source)
    for field in source.fields:
        yield from _of_field(source, field)


def _of_rows(source: SourceProfile) -> Iterator[Finding]:
    key = "|".join(source.row_key)
    if source.duplicate_rows:
        yield _found(
            "assess.duplicate_rows",
            Level.WARNING,
            source.name,
            source.duplicate_rows,
            "rows equal to an earlier row in every column",
            "they will be merged; ask why the list holds them twice",
        )
    if source.repeated_keys:
        yield _found(
            "assess.key_repeated",
            Level.WARNING,
            f"{source.name}/{key}",
            source.repeated_keys,
            "rows whose key an earlier row has",
            "decide which row is right, or name a better row_key",
        )
    if source.blank_keys:
        yield _found(
            "assess.key_blank",
            Level.WARNING,
            f"{source.name}/{key}",
            source.blank_keys,
            "rows without a key",
            "fill in the key; without it a repaired row cannot be recognised again",
        )
    for required in source.required:
        if required.missing:
            yield _found(
                "assess.required_missing",
                Level.WARNING,
                f"{source.name}/{'|'.join(required.columns)}",
                required.missing,
                f"rows without a value for the required field '{required.field}'",
                "these rows go to quarantine unless their owners complete them",
                field=required.label or required.field,
            )
    for rule in source.row_rules:
        yield _found(
            "assess.rule_broken",
            Level.INFO if rule.done == "kept" else Level.WARNING,
            source.name,
            rule.rows,
            f"rows that break a rule over several fields ({rule.code})",
            "have the owners correct one of the values; the rule says what happens to the rest",
            reason=rule.code,
        )
    for reference in source.references:
        if reference.unknown:
            yield _found(
                "assess.reference_unknown",
                Level.WARNING,
                f"{source.name}/{reference.column}",
                reference.unknown,
                f"rows that point to a row of '{reference.entity}' that no source has",
                "complete the other list, or correct the number",
                entity=reference.entity,
            )


def _of_field(source: SourceProfile, field: FieldProfile) -> Iterator[Finding]:
    where = f"{source.name}/{field.column}"
    if not field.targets:
        if field.filled and field.column not in source.row_key:
            yield _found(
                "assess.column_unmapped",
                Level.INFO,
                where,
                field.filled,
                "rows with a value in a column that no mapping reads, so that it stays behind",
                "map the column, or confirm that it is not needed",
            )
        return
    if field.filled == 0:
        yield _found(
            "assess.field_empty",
            Level.WARNING,
            where,
            field.rows,
            "rows without a value in this mapped column, which is all of the source",
            "check that the right column is mapped",
        )
    elif not field.required and field.filled < LOW_FILL * field.rows:
        yield _found(
            "assess.fill_low",
            Level.INFO,
            where,
            field.rows - field.filled,
            "rows without a value here, more than half",
            "decide whether the field is worth completing before go-live",
        )
    if field.invalid and field.type:
        yield _found(
            _invalid(field),
            Level.WARNING,
            where,
            field.invalid,
            f"rows whose value the mapping cannot use as {field.type.value}",
            "have the owners correct the values; the mapping's on_error says what happens to the rest",
        )
    if field.too_long:
        yield _found(
            "assess.too_long",
            Level.WARNING,
            where,
            field.too_long,
            "rows with a text longer than the target's field",
            "shorten the texts, or lengthen the field in the CRM",
        )
    yield from _of_characters(where, field)


def _invalid(field: FieldProfile) -> str:
    """The finding's id: of the map that lacks the values if that is all, else of the field's type."""
    codes = [violation.code for violation in field.violations if violation.done != "kept"]
    ids = {_UNKNOWN_TO_A_MAP.get(code, "") for code in codes}
    general = _INVALID.get(field.type, "assess.invalid_value") if field.type else "assess.invalid_value"
    return ids.pop() if len(ids) == 1 and "" not in ids else general


def _of_characters(where: str, field: FieldProfile) -> Iterator[Finding]:
    if field.formula:
        yield _found(
            "assess.formula_like",
            Level.WARNING,
            where,
            field.formula,
            "rows with a text that a spreadsheet would run as a formula",
            "check the cells; our own workbooks write them as text",
        )
    if field.control:
        yield _found(
            "assess.control_characters",
            Level.INFO,
            where,
            field.control,
            "rows with line breaks, control or invisible characters",
            "the text normaliser removes them",
        )
    if field.full_width:
        yield _found(
            "assess.full_width",
            Level.INFO,
            where,
            field.full_width,
            "rows with full-width letters or digits",
            "the normalisers make them half-width",
        )
    if field.placeholders:
        yield _found(
            "assess.placeholder",
            Level.INFO,
            where,
            field.placeholders,
            "rows with a placeholder such as '-' instead of a value",
            "it counts as empty; add further placeholders under cleanse.placeholders",
        )
    if field.type in _FORMATTED and field.sampled and len(field.formats) > 1:
        minor = field.sampled - field.formats[0].rows
        if minor > MINOR_FORMATS * field.sampled:
            yield _found(
                "assess.mixed_formats",
                Level.INFO,
                where,
                minor,
                f"rows, of {field.sampled} looked at, not written in the commonest format",
                "cleansing brings them into one form; check the rarest formats",
                formats=[shape.model_dump(mode="json") for shape in field.formats],
            )


def _found(id_: str, level: Level, where: str, count: int, message: str, hint: str, **detail: Any) -> Finding:
    return Finding(
        id=id_, level=level, message=f"{message}: {count}", where=where, hint=hint, count=count, detail=detail
    )
