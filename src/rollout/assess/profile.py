"""Profiles one source's raw stage: set-wise DuckDB SQL over Parquet, a few scans, every row judged.

Only the shares of pattern classes rest on a sample where a source has more than ``FORMAT_ROWS`` rows, and the number of
distinct values is estimated above ``DISTINCT_ROWS``; everything else is counted over all rows. Examples leave here
masked; only the values of pick-list and yes/no columns are listed as they are, and those without long numbers or ``@``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from rollout.assess import examples, rules
from rollout.assess.judge import Judgement
from rollout.assess.model import (
    FieldProfile,
    FileProfile,
    FormatShare,
    MissingColumn,
    ReferenceProfile,
    RequiredField,
    SourceProfile,
    ValueCount,
)
from rollout.mapping.spec import RESERVED_COLUMNS, MappingRule, MappingSpec, SourceSpec
from rollout.mapping.transforms_text import placeholder_spellings
from rollout.model import masking
from rollout.model.entity import FieldSpec, FieldType

FORMAT_ROWS = 40_000
"""Rows on which pattern shares rest: ±0.5 percentage points with 95 % confidence."""

DISTINCT_ROWS = 200_000
"""Rows up to which distinct values are counted one by one; above, HyperLogLog estimates them within some percent."""

_GOLDEN, _SPREAD = 2_654_435_769, 4_294_967_296
"""Golden-ratio hashing: rows are taken evenly, and no period in the data can fall in step with the choice."""

TOP_FORMATS = 8
TOP_VALUES = 12

_LISTED_TYPES = (FieldType.PICKLIST, FieldType.BOOLEAN)
_TELLING = re.compile(r"\d{6}|@")


@dataclass(frozen=True)
class SourceInput:
    """One source and how it is mapped.

    Attributes:
        spec: The source as declared.
        mapping: Its mapping.
        fields: Fields of the entity by name.
        path: The raw stage, a Parquet file of text columns; those beginning with ``_`` are ours.
        encodings: Encoding by file, as found while reading.
        parents: Raw stages of every entity that references point to, by entity.
        judgement: What cleansing would make of the rows.
        lacking: The columns that the mapping reads and a file (or sheet) has not, by file.
        unreadable: Rows that could not be read as rows; they are in no stage.
        repeated_keys: Rows whose key an earlier row has, as counted when the keys were given.
        blank_keys: Rows without a key.
    """

    spec: SourceSpec
    mapping: MappingSpec
    fields: Mapping[str, FieldSpec]
    path: Path
    encodings: Mapping[str, str]
    parents: Mapping[str, Sequence[Path]]
    judgement: Judgement
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unreadable: int = 0
    repeated_keys: int = 0
    blank_keys: int = 0


@dataclass(frozen=True)
class _Column:
    """One column: its name, its place in the queries, and the mapping rules that read it."""

    name: str
    place: int
    rules: tuple[MappingRule, ...]
    spec: FieldSpec | None


def profile_source(
    connection: duckdb.DuckDBPyConnection, source: SourceInput, placeholders: Sequence[str]
) -> SourceProfile:
    """Profile one source.

    Args:
        connection: Its memory limit and temporary directory bound what this needs.
        source: The raw stage and its mapping.
        placeholders: Cell texts that mean "no value".

    Returns:
        The profile; counts are rows.
    """
    return _Profiler(connection, source, placeholders).profile()


class _Profiler:
    """The queries over one raw stage; every one reads the columns it needs and nothing else."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: SourceInput, placeholders: Sequence[str]) -> None:
        self.connection = connection
        self.source = source
        self.placeholders = placeholder_spellings(tuple(placeholders))
        stage = pq.ParquetFile(source.path)
        self.rows = stage.metadata.num_rows
        self.exact = self.rows <= DISTINCT_ROWS
        # Columns are named by place: SQL takes 名称A and 名称a for one name, a source does not.
        names = stage.schema_arrow.names
        placed = ", ".join(f"c{place}" for place in range(len(names)))
        self.stage = f"read_parquet(?, file_row_number = true) AS stage({placed}, line)"
        self.columns = [self._column(name, place) for place, name in enumerate(names) if name not in RESERVED_COLUMNS]
        self.by_name = {column.name: column for column in self.columns}

    def profile(self) -> SourceProfile:
        """All figures of the source."""
        spec = self.source.spec
        judgement = self.source.judgement
        counts = self._counts()
        lacking = {name: self._lacking(name) for name in self.source.mapping.columns}
        return SourceProfile(
            name=spec.name,
            rows=self.rows,
            unreadable=self.source.unreadable,
            files=self._files(),
            fields=tuple(self._field(column, counts) for column in self.columns),
            required=tuple(
                RequiredField(
                    field=name,
                    label=self.source.fields[name].label if name in self.source.fields else "",
                    columns=columns,
                    missing=judgement.missing[name],
                )
                for name, columns in self._required().items()
            ),
            references=self._references(),
            row_key=spec.row_key,
            missing_columns=tuple(MissingColumn(column=name, files=files) for name, files in lacking.items() if files),
            duplicate_rows=self.rows - self._distinct(),
            repeated_keys=self.source.repeated_keys,
            blank_keys=self.source.blank_keys,
            ready=judgement.ready,
        )

    def _lacking(self, column: str) -> tuple[str, ...]:
        return tuple(file for file, columns in self.source.lacking.items() if column in columns)

    # Scans

    def _counts(self) -> dict[str, Any]:
        """One scan over all columns: fill, lengths, odd characters."""
        wanted = [figure for column in self.columns for figure in self._aggregates(column)]
        counts = self._named(f"SELECT {', '.join(wanted)} FROM ({self._cells(self.columns)})")  # noqa: S608 - names quoted
        odd = [column for column in self.columns if counts[f"odd{column.place}"]]
        return counts | (self._odd_characters(odd) if odd else {})

    def _odd_characters(self, columns: Sequence[_Column]) -> dict[str, int]:
        """Which of the odd characters are in the columns that have any."""
        wanted = [
            f"count(*) FILTER (regexp_matches(r{column.place}, {rules.literal(pattern)})) AS {kind}{column.place}"
            for column in columns
            for kind, pattern in (("control", rules.CONTROL), ("wide", rules.FULL_WIDTH))
        ]
        return self._named(f"SELECT {', '.join(wanted)} FROM ({self._cells(columns)})")  # noqa: S608 - names quoted

    def _named(self, sql: str) -> dict[str, Any]:
        """The one row of an answer, by column."""
        answer = self.connection.execute(sql, [str(self.source.path)])
        names = [column[0] for column in answer.description]
        row = answer.fetchone()
        assert row is not None  # an aggregate without GROUP BY answers one row
        return dict(zip(names, row, strict=True))

    def _cells(self, columns: Sequence[_Column], condition: str = "") -> str:
        """A sub-query with r (raw), o (odd, see rules), v (stripped) and f (a value, or null) of each column."""
        raw = ", ".join(f"c{column.place} AS r{column.place}" for column in columns)
        odd, text = rules.literal(rules.ODD), rules.literal(rules.WHITESPACE)
        empty = ("", *self.placeholders)
        places = [column.place for column in columns]
        odd_ones = "".join(f", regexp_matches(r{place}, {odd}) AS o{place}" for place in places)
        stripped = "".join(
            f", CASE WHEN o{place} THEN trim(r{place}, {text}) ELSE r{place} END AS v{place}" for place in places
        )
        filled = "".join(
            f", CASE WHEN {rules.one_of(f'v{place}', empty)} THEN NULL ELSE v{place} END AS f{place}"
            for place in places
        )
        return (
            f"SELECT *{filled} FROM (SELECT *{stripped} FROM (SELECT *{odd_ones} FROM (SELECT {raw} "  # noqa: S608 - names quoted
            f"FROM {self.stage} {condition})))"
        )

    def _aggregates(self, column: _Column) -> list[str]:
        place = column.place
        distinct = f"count(DISTINCT hash(f{place}))" if self.exact else f"approx_count_distinct(f{place})"
        return [
            f"count(f{place}) AS filled{place}",
            f"count(*) FILTER ({rules.one_of(f'v{place}', self.placeholders)}) AS placeholder{place}",
            f"min(length(f{place})) AS shortest{place}",
            f"max(length(f{place})) AS longest{place}",
            f"{distinct} FILTER (f{place} IS NOT NULL) AS distinct{place}",
            f"count(*) FILTER (o{place}) AS odd{place}",
            f"count(*) FILTER ({rules.formula(f'f{place}')}) AS formula{place}",
        ]

    def _distinct(self) -> int:
        """Distinct rows, by 64-bit fingerprint; groups spill to disk where memory is short."""
        columns = ", ".join(f"c{column.place}" for column in self.columns)
        return self._number(f"SELECT count(*) FROM (SELECT DISTINCT hash({columns}) FROM {self.stage})")  # noqa: S608 - names quoted

    def _files(self) -> tuple[FileProfile, ...]:
        found = self.connection.execute(
            "SELECT _file, count(*) FROM read_parquet(?) GROUP BY _file ORDER BY _file", [str(self.source.path)]
        ).fetchall()
        return tuple(
            FileProfile(path=path, rows=rows, encoding=self.source.encodings.get(path, "")) for path, rows in found
        )

    def _references(self) -> tuple[ReferenceProfile, ...]:
        """References whose parent is read in this assessment; a parent's row key is what they hold."""
        found = []
        for column in self.columns:
            parent = next((name for rule in column.rules if (name := self._parent(rule))), None)
            if parent is None or not self.source.parents.get(parent):
                continue
            value = f"f{column.place}"
            rows, unknown = self._row(
                f"SELECT count(*), count(*) FILTER (NOT EXISTS (SELECT 1 FROM read_parquet(?) AS parent "  # noqa: S608 - names quoted
                f"WHERE parent._key = {value})) FROM ({self._cells([column])}) WHERE {value} IS NOT NULL",
                [[str(path) for path in self.source.parents[parent]], str(self.source.path)],
            )
            found.append(ReferenceProfile(column=column.name, entity=parent, rows=rows, unknown=unknown))
        return tuple(found)

    def _formats(self, column: _Column, mask: Callable[[str], str]) -> tuple[list[FormatShare], int, int]:
        """The commonest pattern classes, how many more there are, and the filled rows they rest on."""
        limit = f"{_SPREAD} * {FORMAT_ROWS} / {self.rows}"
        condition = f"WHERE (line * {_GOLDEN}) % {_SPREAD} < {limit}" if self.rows > FORMAT_ROWS else ""
        value = f"f{column.place}"
        found = self.connection.execute(
            f"SELECT pattern, count(*) AS n, min({value}), count(*) OVER (), sum(count(*)) OVER () "  # noqa: S608 - names quoted
            f"FROM (SELECT {value}, {rules.pattern(value)} AS pattern "
            f"FROM ({self._cells([column], condition)}) WHERE {value} IS NOT NULL) "
            f"GROUP BY pattern ORDER BY n DESC, pattern LIMIT {TOP_FORMATS}",
            [str(self.source.path)],
        ).fetchall()
        if not found:
            return [], 0, 0
        shares = [
            FormatShare(pattern=examples.readable(pattern), rows=n, example=mask(example))
            for pattern, n, example, *_ in found
        ]
        return shares, found[0][3] - len(found), int(found[0][4])

    def _values(self, column: _Column) -> tuple[ValueCount, ...]:
        value = f"f{column.place}"
        found = self.connection.execute(
            f"SELECT {value}, count(*) AS n FROM ({self._cells([column])}) WHERE {value} IS NOT NULL "  # noqa: S608 - names quoted
            f"GROUP BY ALL ORDER BY n DESC, {value} LIMIT {TOP_VALUES}",
            [str(self.source.path)],
        ).fetchall()
        return tuple(
            ValueCount(value=masking.mask_text(text) if _TELLING.search(text) else text, rows=rows)
            for text, rows in found
        )

    # Putting together

    def _field(self, column: _Column, counts: Mapping[str, Any]) -> FieldProfile:
        place, spec = column.place, column.spec
        judged = self._judged(column)
        formats, more, sampled = self._formats(column, examples.masker(spec))
        listed = spec is not None and spec.type in _LISTED_TYPES and not spec.personal
        return FieldProfile(
            column=column.name,
            targets=tuple(rule.target for rule in column.rules),
            label=spec.label if spec else "",
            type=spec.type if spec else None,
            required=any(self._is_required(rule) for rule in column.rules),
            personal=spec.personal if spec else True,
            rows=self.rows,
            filled=counts[f"filled{place}"],
            placeholders=counts[f"placeholder{place}"],
            distinct=min(counts[f"distinct{place}"], counts[f"filled{place}"]),
            distinct_exact=self.exact,
            min_length=counts[f"shortest{place}"],
            max_length=counts[f"longest{place}"],
            invalid=self.source.judgement.invalid[judged] if judged and self._can_be_invalid(column) else None,
            too_long=self.source.judgement.too_long[judged] if judged else 0,
            control=counts.get(f"control{place}", 0),
            full_width=counts.get(f"wide{place}", 0),
            formula=counts[f"formula{place}"],
            formats=tuple(formats),
            more_formats=more,
            sampled=sampled,
            values=self._values(column) if listed else (),
        )

    def _column(self, name: str, place: int) -> _Column:
        reading = tuple(rule for rule in self.source.mapping.fields if name in rule.columns)
        spec = self.source.fields.get(reading[0].target) if reading else None
        return _Column(name=name, place=place, rules=reading, spec=spec)

    def _judged(self, column: _Column) -> str | None:
        """The field whose judgement is shown with a column: of a rule that reads several, with the first of them."""
        rule = next(iter(column.rules), None)
        present = [name for name in rule.columns if name in self.by_name] if rule else []
        return rule.target if rule and column.spec and present[0] == column.name else None

    def _can_be_invalid(self, column: _Column) -> bool:
        """Whether there is a rule that a value could break; any text is a text."""
        plain = column.spec is None or column.spec.type in (FieldType.TEXT, FieldType.REFERENCE)
        return not plain or bool(column.rules[0].transform)

    def _required(self) -> dict[str, tuple[str, ...]]:
        """Required fields that are filled from columns this source has."""
        return {
            rule.target: present
            for rule in self.source.mapping.fields
            if self._is_required(rule) and (present := tuple(name for name in rule.columns if name in self.by_name))
        }

    def _is_required(self, rule: MappingRule) -> bool:
        spec = self.source.fields.get(rule.target)
        return rule.required or (spec is not None and spec.required)

    def _parent(self, rule: MappingRule) -> str | None:
        spec = self.source.fields.get(rule.target)
        return rule.lookup or (spec.references if spec else None)

    def _row(self, sql: str, parameters: Sequence[object]) -> tuple[Any, ...]:
        row = self.connection.execute(sql, parameters).fetchone()
        assert row is not None
        return row

    def _number(self, sql: str) -> int:
        return int(self._row(sql, [str(self.source.path)])[0])
