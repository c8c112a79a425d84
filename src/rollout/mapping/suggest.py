"""Which column may fill which field, and why: names, synonyms, what the values are and whom they refer to. Pure.

Nothing here decides: a suggestion has reasons and a score, and a person confirms it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import Field

from rollout.mapping.date_columns import date_column
from rollout.mapping.synonyms import concepts, folded_header
from rollout.mapping.transforms import DEFAULT_TRANSFORM, compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.mapping.transforms_text import lookup_key
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec, FieldType

LEAST_SCORE = 0.35
"""Less is no suggestion."""
_SIMILAR = 0.75
_MOST_VALUES = 200
"""A column with more distinct cells holds no pick-list."""
_MOST = 0.5
"""Of the values so many speak for a field; fewer speak against it."""
_LISTED = ("picklist", "owner")
_TELLING = (FieldType.PHONE, FieldType.EMAIL, FieldType.USCC)
"""Types whose values speak for themselves, whatever the column is called."""
_WEIGHTS = {
    FieldType.PHONE: 0.3,
    FieldType.EMAIL: 0.35,
    FieldType.USCC: 0.4,
    FieldType.DATE: 0.25,
    FieldType.DATETIME: 0.25,
    FieldType.INTEGER: 0.1,
    FieldType.DECIMAL: 0.1,
    FieldType.BOOLEAN: 0.15,
    FieldType.PICKLIST: 0.35,
    FieldType.REFERENCE: 0.45,
}
"""What it adds that all values are of the field's type."""


class Column(NamedTuple):
    """A column of a source."""

    name: str
    filled: int
    cells: Sequence[tuple[str, int]]
    """Distinct cells with their rows, the commonest first; of many the first some hundreds."""


@dataclass(frozen=True)
class Known:
    """What suggestions may lean on besides names and values."""

    context: TransformContext
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By entity the row keys of its sources, folded."""
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By field the folded cells of columns that fill it in other sources."""


class Reason(Frozen):
    """Why a column is suggested."""

    code: str = Field(description="name, synonym, name_part, name_similar, type, picklist, owner, reference, overlap.")
    share: float | None = Field(default=None, description="Of the filled rows that speak for it.")

    def __str__(self) -> str:
        """As people read it."""
        return self.code if self.share is None else f"{self.code} {self.share:.0%}"


class ValueSuggestion(Frozen):
    """A cell that the pick-list lacks, and what it may stand for."""

    raw: str
    rows: int
    value: str | None = Field(default=None, description="None: a person must say.")


class FieldSuggestion(Frozen):
    """A column that may fill a field."""

    target: str
    column: str
    score: float = Field(description="0 to 1.")
    reasons: tuple[Reason, ...]
    transform: str = Field(description="The transform that such a field needs.")
    lookup: str | None = None
    values: tuple[ValueSuggestion, ...] = Field(default=(), description="Lines that a value map needs.")
    dates: dict[str, float] = Field(default_factory=dict, description="Ways of writing dates, with their shares.")
    date_format: str | None = Field(default=None, description="The format that the plain dates speak for.")
    must_confirm: bool = Field(default=False, description="Dates may be read in two ways: somebody says in which.")


def suggest(fields: Mapping[str, FieldSpec], columns: Sequence[Column], known: Known) -> list[FieldSuggestion]:
    """The best column for each field, in the fields' order; a column serves one field.

    Args:
        fields: Fields that nothing fills yet.
        columns: Columns of the source.
        known: What else is known.
    """
    scored = [
        (suggestion.score, -place, suggestion)
        for place, (column, (name, spec)) in enumerate(
            (column, item) for item in fields.items() for column in columns if column.filled
        )
        if (suggestion := judged(column, name, spec, known)) and suggestion.score >= LEAST_SCORE
    ]
    found: dict[str, FieldSuggestion] = {}
    taken: set[str] = set()
    for _, _, suggestion in sorted(scored, key=lambda item: item[:2], reverse=True):
        if suggestion.target not in found and suggestion.column not in taken:
            found[suggestion.target] = suggestion
            taken.add(suggestion.column)
    return [found[name] for name in fields if name in found]


def judged(column: Column, name: str, spec: FieldSpec, known: Known) -> FieldSuggestion | None:
    """What speaks for a column and a field; None: nothing does."""
    named, reason = _named(column.name, name, spec)
    share, code = _share(column, name, spec, known)
    reasons = [reason] if reason else []
    score = named
    if share is not None:
        if named == 0 and spec.type not in (*_TELLING, FieldType.REFERENCE) and code != "owner":
            return None
        weight = _WEIGHTS.get(spec.type, 0.35)
        if share >= _MOST:
            score += weight * share
            reasons.append(Reason(code=code, share=round(share, 3)))
        elif code not in _LISTED or len(column.cells) > _MOST_VALUES:
            score -= weight  # what a list does not know yet speaks against nothing
    same = known.values.get(name)
    if same and (overlap := _rows_where(column, lambda cell: lookup_key(cell) in same)) >= _MOST:
        score += 0.2 * overlap
        reasons.append(Reason(code="overlap", share=round(overlap, 3)))
    return _made(column, name, spec, min(score, 1.0), tuple(reasons), known) if reasons else None


def _made(
    column: Column, name: str, spec: FieldSpec, score: float, reasons: tuple[Reason, ...], known: Known
) -> FieldSuggestion:
    is_owner = any(reason.code == "owner" for reason in reasons)
    is_company = spec.type is FieldType.TEXT and "company_name" in concepts(spec.label, column.name)
    found = FieldSuggestion(
        target=name,
        column=column.name,
        score=round(score, 2),
        reasons=reasons,
        transform="owner" if is_owner else "company_name" if is_company else DEFAULT_TRANSFORM[spec.type],
        lookup=spec.references,
        values=tuple(value_lines(column.cells, spec.picklist, known.context)) if spec.picklist else (),
    )
    return with_dates(found, column.cells) if spec.type in (FieldType.DATE, FieldType.DATETIME) else found


def with_dates(found: FieldSuggestion, cells: Iterable[tuple[str, int]]) -> FieldSuggestion:
    """With what all cells of the column say about its dates: a single one may speak against a format."""
    dates = date_column(cells)
    told = {way: round(share, 3) for way, share in dates.shares.items()}
    return found.model_copy(
        update={"dates": told, "date_format": dates.likely, "must_confirm": dates.is_open},
    )


def _named(column: str, name: str, spec: FieldSpec) -> tuple[float, Reason | None]:
    """What the names say."""
    header = folded_header(column)
    labels = {folded_header(text) for text in (name, spec.label) if text}
    if header in labels:
        return 0.6, Reason(code="name")
    if concepts(column) & concepts(name, spec.label):
        return 0.5, Reason(code="synonym")
    if any(len(short) > 1 and short in long for text in labels for short, long in ((header, text), (text, header))):
        return 0.35, Reason(code="name_part")
    if any(difflib.SequenceMatcher(None, header, text).ratio() >= _SIMILAR for text in labels):
        return 0.35, Reason(code="name_similar")
    return 0.0, None


def _share(column: Column, name: str, spec: FieldSpec, known: Known) -> tuple[float | None, str]:
    """Of the filled rows those whose value fits the field, and what that is called; None: any value fits."""
    if spec.type is FieldType.REFERENCE:
        keys = known.parents.get(spec.references or "", frozenset())
        return (_rows_where(column, lambda cell: lookup_key(cell) in keys) if keys else None), "reference"
    if spec.type is FieldType.PICKLIST:
        if len(column.cells) > _MOST_VALUES:
            return 0.0, "picklist"
        guessed = {line.raw for line in value_lines(column.cells, spec.picklist, known.context) if line.value is None}
        return _rows_where(column, lambda cell: cell.strip() not in guessed), "picklist"
    if spec.type is FieldType.TEXT:
        if known.context.owner_map and "owner" in concepts(name, spec.label):
            return _rows_where(column, lambda cell: lookup_key(cell) in known.context.owner_map), "owner"
        return None, ""
    texts = [cell for cell, _ in column.cells]
    good = run_steps(pa.array(texts, pa.string()), compile_steps((), spec.type), known.context)
    is_date = spec.type in (FieldType.DATE, FieldType.DATETIME)
    codes = good.codes.to_pylist() if good.codes is not None else [None] * len(texts)
    values = good.values.to_pylist()
    fits = {
        text
        for text, value, code in zip(texts, values, codes, strict=True)
        if value is not None or code is None or (is_date and code.endswith("_ambiguous"))
    }
    return _rows_where(column, lambda cell: cell in fits), "type"


def _rows_where(column: Column, fits: Any) -> float:
    rows = sum(count for _, count in column.cells)
    return sum(count for cell, count in column.cells if fits(cell)) / rows if rows else 0.0


def value_lines(
    cells: Sequence[tuple[str, int]], picklist: Sequence[str], context: TransformContext, known: Mapping[str, str] = {}
) -> list[ValueSuggestion]:
    """The cells that a value map must know, each with the value that it may stand for; none of a free text column.

    Args:
        cells: Distinct cells with their rows.
        picklist: The field's values.
        context: Knows the placeholders.
        known: What the map has already, keys folded.
    """
    if len(cells) > _MOST_VALUES:
        return []
    tidied = run_steps(pa.array([cell for cell, _ in cells], pa.string()), compile_steps((), FieldType.TEXT), context)
    lines = []
    for (cell, rows), text in zip(cells, tidied.values.to_pylist(), strict=True):
        if text is not None and text not in picklist and lookup_key(cell) not in known:
            lines.append(ValueSuggestion(raw=cell.strip(), rows=rows, value=_guess(text, picklist)))
    return lines


def _guess(text: str, picklist: Sequence[str]) -> str | None:
    """The one value that a cell abbreviates, holds or spells otherwise; None where none or several are."""
    key = lookup_key(text)
    folded = {value: lookup_key(value) for value in picklist}
    for alike in (_equal, _part, _abbreviated):
        found = [value for value, word in folded.items() if alike(key, word)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _equal(key: str, word: str) -> bool:
    return key == word


def _part(key: str, word: str) -> bool:
    return word in key or (len(key) > 1 and key in word)


def _abbreviated(key: str, word: str) -> bool:
    """Whether the signs of the shorter occur in the longer in their order: 建材 in 建筑材料."""
    short, long = sorted((key, word), key=len)
    signs = iter(long)
    return len(short) > 1 and all(sign in signs for sign in short)
