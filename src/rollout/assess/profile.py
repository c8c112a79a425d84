"""Profiles one source's raw stage: set-wise DuckDB SQL over Parquet, a few scans, every row judged.

Only the shares of pattern classes rest on a sample where a source has more than ``FORMAT_ROWS`` rows, and the number of
distinct values is estimated above ``DISTINCT_ROWS``; everything else is counted over all rows. Examples leave here
masked; only the values of pick-list and yes/no columns are listed as they are, and those without long numbers or ``@``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    MissingColumn,
    ReferenceProfile,
    RequiredField,
    SourceProfile,
    ValueCount,
    Violation,
)
from rollout.assess.sample import TOP_VALUES, Sample, listed
from rollout.mapping.spec import RESERVED_COLUMNS, MappingRule, MappingSpec, SourceSpec
from rollout.mapping.transforms_text import placeholder_spellings
from rollout.model.entity import FieldSpec, FieldType

FORMAT_ROWS = 40_000
"""Rows on which shares of patterns and values rest: ±0.5 percentage points with 95 % confidence."""

DISTINCT_ROWS = 200_000
"""Rows up to which distinct values are counted one by one; above, HyperLogLog estimates them within some percent."""

_GOLDEN, _SPREAD = 2_654_435_769, 4_294_967_296
"""Golden-ratio hashing: rows are taken evenly, and no period in the data can fall in step with the choice."""

_LISTED_TYPES = (FieldType.PICKLIST, FieldType.BOOLEAN)
_WORDS = (FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL)
"""Types whose commonest values are words and round figures that many rows share, unless the field is personal."""
_RANGED = {
    FieldType.INTEGER: "try_cast({} AS DOUBLE)",
    FieldType.DECIMAL: "try_cast({} AS DOUBLE)",
    FieldType.DATE: "{}",
    FieldType.DATETIME: "{}",
}
"""By type with a range: SQL of what its canonical texts are ordered by."""


@dataclass(frozen=True)
class SourceInput:
    """One source and how it is mapped.

    Attributes:
        spec: The source as declared.
        mapping: Its mapping.
        fields: Fields of the entity by name.
        path: The raw stage, a Parquet file of text columns; those beginning with ``_`` are ours.
        encodings: Encoding by file, as found while reading.
        mapped: What the mappings make of the entity's rows, a Parquet file of its fields and `_source`.
        parents: By entity that references may point to: SQL of its rows, whose column `key` is what they hold.
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
    mapped: Path
    parents: Mapping[str, str]
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
        counts = self._counts() | self._ranges()
        sample = self._sample()
        lacking = dict.fromkeys(name for columns in self.source.lacking.values() for name in columns)
        return SourceProfile(
            name=spec.name,
            rows=self.rows,
            unreadable=self.source.unreadable,
            files=self._files(),
            fields=tuple(self._field(column, counts, sample) for column in self.columns),
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
            missing_columns=tuple(MissingColumn(column=name, files=self._lacking(name)) for name in lacking),
            duplicate_rows=self.rows - self._distinct(),
            repeated_keys=self.source.repeated_keys,
            blank_keys=self.source.blank_keys,
            ready=judgement.ready,
            row_rules=self._violations(""),
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

    def _named(self, sql: str, parameters: Sequence[object] | None = None) -> dict[str, Any]:
        """The one row of an answer, by column."""
        answer = self.connection.execute(sql, parameters or [str(self.source.path)])
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
        """References as the mapping makes them; a parent's row key is what they hold."""
        found = []
        for rule in self.source.mapping.fields:
            parent = self._parent(rule)
            present = [name for name in rule.columns if name in self.by_name]
            if parent is None or not present or parent not in self.source.parents:
                continue
            value = f"row.{rules.quoted(rule.target)}"
            rows, unknown = self._row(
                f"SELECT count({value}), count({value}) FILTER (NOT EXISTS "  # noqa: S608 - names quoted
                f"(SELECT 1 FROM ({self.source.parents[parent]}) AS known WHERE known.key = {value})) "
                "FROM read_parquet(?) AS row WHERE row._source = ?",
                [str(self.source.mapped), self.source.spec.name],
            )
            found.append(
                ReferenceProfile(
                    column=" / ".join(present), field=rule.target, entity=parent, rows=rows, unknown=unknown
                )
            )
        return tuple(found)

    def _ranges(self) -> dict[str, str]:
        """Least and greatest value of the fields that have an order, as `{field}.low` and `{field}.high`."""
        wanted = []
        for rule in self.source.mapping.fields:
            spec = self.source.fields.get(rule.target)
            if spec is None or spec.type not in _RANGED or not any(name in self.by_name for name in rule.columns):
                continue
            value = rules.quoted(rule.target)
            order = _RANGED[spec.type].format(value)
            wanted += [
                f"arg_{least}({value}, {order}) AS {rules.quoted(f'{rule.target}.{name}')}"
                for least, name in (("min", "low"), ("max", "high"))
            ]
        if not wanted:
            return {}
        sql = f"SELECT {', '.join(wanted)} FROM read_parquet(?) WHERE _source = ?"  # noqa: S608 - names quoted
        found = self._named(sql, [str(self.source.mapped), self.source.spec.name])
        return {name: value for name, value in found.items() if value is not None}

    def _sample(self) -> Sample:
        limit = f"{_SPREAD} * {FORMAT_ROWS} / {self.rows}"
        condition = f"WHERE (line * {_GOLDEN}) % {_SPREAD} < {limit}" if self.rows > FORMAT_ROWS else ""
        values = ", ".join(f"f{column.place}" for column in self.columns) or "1"
        query = f"SELECT {values} FROM ({self._cells(self.columns, condition)})"  # noqa: S608 - names of our own
        return Sample(self.connection, query, [str(self.source.path)], [column.place for column in self.columns])

    def _values(self, column: _Column) -> tuple[ValueCount, ...]:
        value = f"f{column.place}"
        found = self.connection.execute(
            f"SELECT {value}, count(*) AS n FROM ({self._cells([column])}) WHERE {value} IS NOT NULL "  # noqa: S608 - names quoted
            f"GROUP BY ALL ORDER BY n DESC, {value} LIMIT {TOP_VALUES}",
            [str(self.source.path)],
        ).fetchall()
        return tuple(ValueCount(value=listed(text), rows=rows) for text, rows in found)

    # Putting together

    def _field(self, column: _Column, counts: Mapping[str, Any], sample: Sample) -> FieldProfile:
        place, spec = column.place, column.spec
        judged = self._judged(column)
        mask = examples.masker(spec, people=self._names_people(column))
        formats, more, sampled = sample.formats(place, mask)
        words = spec is not None and spec.type in _WORDS and not spec.personal and not self._names_people(column)
        low, high = (counts.get(f"{judged}.{end}") for end in ("low", "high"))
        is_list = spec is not None and spec.type in _LISTED_TYPES and not spec.personal
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
            values=self._values(column) if is_list else (),
            top=() if is_list or not column.rules else sample.top(place, mask, words=words),
            low=mask(low) if low and spec and spec.personal else low,
            high=mask(high) if high and spec and spec.personal else high,
            violations=self._violations(judged) if judged else (),
        )

    def _violations(self, name: str) -> tuple[Violation, ...]:
        """The rules that a field's values break, most rows first."""
        codes = self.source.judgement.codes
        found = [(rows, code, done) for (field, code, done), rows in codes.items() if field == name]
        return tuple(
            Violation(code=code, done=done, rows=rows)
            for rows, code, done in sorted(found, key=lambda item: (-item[0], item[1], item[2]))
        )

    def _names_people(self, column: _Column) -> bool:
        """Whether a column holds names of colleagues: what the owner map reads."""
        return any(step.name == "owner" for rule in column.rules for step in rule.transform)

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
