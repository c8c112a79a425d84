"""Profiles one source's raw stage: set-wise DuckDB SQL over Parquet, a few scans, every row judged.

Only the shares of pattern classes rest on a sample where a source has more than ``FORMAT_ROWS`` rows, and the number of
distinct values is estimated above ``DISTINCT_ROWS``; everything else is counted over all rows. Examples leave here
masked; only the values of pick-list and yes/no columns are listed as they are, and those without long numbers or ``@``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from rollout.assess import examples, rules
from rollout.assess.model import (
    FieldProfile,
    FileProfile,
    FormatShare,
    ReferenceProfile,
    RequiredField,
    SourceProfile,
    ValueCount,
)
from rollout.mapping.spec import MappingRule, MappingSpec, SourceSpec
from rollout.model import masking
from rollout.model.entity import FieldSpec, FieldType

FORMAT_ROWS = 100_000
"""Rows on which pattern shares rest: ±0.3 percentage points with 95 % confidence."""

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
        unreadable: Rows that could not be read as rows; they are in no stage.
    """

    spec: SourceSpec
    mapping: MappingSpec
    fields: Mapping[str, FieldSpec]
    path: Path
    encodings: Mapping[str, str]
    parents: Mapping[str, Sequence[Path]]
    unreadable: int = 0


@dataclass(frozen=True)
class Settings:
    """What the project says about cells."""

    placeholders: tuple[str, ...]
    phone_region: str


@dataclass(frozen=True)
class _Column:
    """One column: its name, its place in the queries, and the mapping rules that read it."""

    name: str
    place: int
    rules: tuple[MappingRule, ...]
    spec: FieldSpec | None
    check: Callable[[str], str] | None
    """Makes SQL that tells whether an SQL value is valid; it holds for the bare, half-width value."""


def profile_source(connection: duckdb.DuckDBPyConnection, source: SourceInput, settings: Settings) -> SourceProfile:
    """Profile one source.

    Args:
        connection: Its memory limit and temporary directory bound what this needs.
        source: The raw stage and its mapping.
        settings: Placeholders and phone region.

    Returns:
        The profile; counts are rows.
    """
    query = _Profiler(connection, source, settings)
    return query.profile()


class _Profiler:
    """The queries over one raw stage; every one reads the columns it needs and nothing else."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: SourceInput, settings: Settings) -> None:
        self.connection = connection
        self.source = source
        self.settings = settings
        self.rows = self._number("SELECT count(*) FROM read_parquet(?)")
        self.exact = self.rows <= DISTINCT_ROWS
        described = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(source.path)]).description
        names = [column[0] for column in described if not column[0].startswith("_")]
        self.columns = [self._column(name, place) for place, name in enumerate(names)]
        self.by_name = {column.name: column for column in self.columns}

    def profile(self) -> SourceProfile:
        """All figures of the source."""
        spec = self.source.spec
        required = self._required()
        counts = self._counts(required)
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
                    missing=counts[f"missing{place}"],
                )
                for place, (name, columns) in enumerate(required.items())
            ),
            references=self._references(),
            row_key=spec.row_key,
            missing_columns=tuple(name for name in self.source.mapping.columns if name not in self.by_name),
            duplicate_rows=self.rows - self._distinct([column.name for column in self.columns]),
            ready=counts["ready"],
            **self._keys(),
        )

    # Scans

    def _counts(self, required: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
        """One scan over all columns: fill, lengths, validity, odd characters, rows ready as they are."""
        wanted = []
        for column in self.columns:
            wanted += self._aggregates(column)
        judged = [column for column in self.columns if column.check]
        missing = [self._missing(columns) for columns in required.values()]
        wanted += [f"count(*) FILTER ({condition}) AS missing{place}" for place, condition in enumerate(missing)]
        # A check names its value up to 20 times. DuckDB works out once what they share, but not inside AND, OR or a
        # nested CASE: so the smallest of all checks is taken, which leaves out those of empty cells (null).
        passed = [*(f"NOT {condition}" for condition in missing), *(f"c{column.place}" for column in judged)]
        wanted.append(f"count(*) FILTER (least({', '.join([*passed, 'true'])})) AS ready")
        narrow = f"{rules.literal(rules.WIDE)}, {rules.literal(rules.NARROW)}"
        plain = "".join(
            f", CASE WHEN o{column.place} THEN translate(f{column.place}, {narrow}) ELSE f{column.place} END "
            f"AS h{column.place}"
            for column in judged
        )
        checks = "".join(
            f", {column.check(f'h{column.place}')} AS c{column.place}" for column in judged if column.check
        )
        cells = f"SELECT *{plain} FROM ({self._cells(self.columns)})"  # noqa: S608 - names quoted
        answer = self.connection.execute(
            f"SELECT {', '.join(wanted)} FROM (SELECT *{checks} FROM ({cells}))",  # noqa: S608 - names quoted
            [str(self.source.path)],
        )
        names = [column[0] for column in answer.description]
        row = answer.fetchone()
        assert row is not None  # an aggregate without GROUP BY answers one row
        counts = dict(zip(names, row, strict=True))
        odd = [column for column in self.columns if counts[f"odd{column.place}"]]
        return counts | (self._odd_characters(odd) if odd else {})

    def _odd_characters(self, columns: Sequence[_Column]) -> dict[str, int]:
        """Which of the odd characters are in the columns that have any."""
        wanted = [
            f"count(*) FILTER (regexp_matches(r{column.place}, {rules.literal(pattern)})) AS {kind}{column.place}"
            for column in columns
            for kind, pattern in (("control", rules.CONTROL), ("wide", rules.FULL_WIDTH))
        ]
        answer = self.connection.execute(
            f"SELECT {', '.join(wanted)} FROM ({self._cells(columns)})",  # noqa: S608 - names quoted
            [str(self.source.path)],
        )
        names = [column[0] for column in answer.description]
        row = answer.fetchone()
        assert row is not None
        return dict(zip(names, row, strict=True))

    def _cells(self, columns: Sequence[_Column], condition: str = "") -> str:
        """A sub-query with r (raw), o (odd, see rules), v (stripped) and f (a value, or null) of each column."""
        raw = ", ".join(f"{rules.identifier(column.name)} AS r{column.place}" for column in columns)
        odd, text = rules.literal(rules.ODD), rules.literal(rules.WHITESPACE)
        empty = ("", *self.settings.placeholders)
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
            f"FROM read_parquet(?, file_row_number = true) {condition})))"
        )

    def _aggregates(self, column: _Column) -> list[str]:
        place = column.place
        distinct = f"count(DISTINCT hash(f{place}))" if self.exact else f"approx_count_distinct(f{place})"
        wanted = [
            f"count(f{place}) AS filled{place}",
            f"count(*) FILTER ({rules.one_of(f'v{place}', self.settings.placeholders)}) AS placeholder{place}",
            f"min(length(f{place})) AS shortest{place}",
            f"max(length(f{place})) AS longest{place}",
            f"{distinct} FILTER (f{place} IS NOT NULL) AS distinct{place}",
            f"count(*) FILTER (o{place}) AS odd{place}",
            f"count(*) FILTER ({rules.formula(f'f{place}')}) AS formula{place}",
        ]
        if column.check:
            wanted.append(f"count(*) FILTER (NOT c{place}) AS invalid{place}")
        if column.spec and column.spec.max_length:
            wanted.append(f"count(*) FILTER (length(f{place}) > {column.spec.max_length}) AS long{place}")
        return wanted

    def _distinct(self, names: Sequence[str]) -> int:
        """Distinct combinations of columns, by 64-bit fingerprint; groups spill to disk where memory is short."""
        columns = ", ".join(rules.identifier(name) for name in names)
        return self._number(
            f"SELECT count(*) FROM (SELECT DISTINCT hash({columns}) FROM read_parquet(?))"  # noqa: S608 - names quoted
        )

    def _keys(self) -> dict[str, int]:
        """Rows whose key an earlier row has, and rows without a key."""
        columns = [name for name in self.source.spec.row_key if name in self.by_name]
        if len(columns) < len(self.source.spec.row_key):
            return {"repeated_keys": 0, "blank_keys": self.rows}
        text = rules.literal(rules.WHITESPACE)
        parts = ", ".join(f"trim({rules.identifier(name)}, {text})" for name in columns)
        key = f"concat_ws('|', {parts})"
        counted = self.connection.execute(
            f"SELECT count(*), count(*) FILTER (blank), count(DISTINCT CASE WHEN blank THEN NULL ELSE hash(key) END) "  # noqa: S608 - names quoted
            f"FROM (SELECT key, trim(key, '|') = '' AS blank FROM (SELECT {key} AS key FROM read_parquet(?)))",
            [str(self.source.path)],
        ).fetchone()
        assert counted is not None
        total, blank, distinct = counted
        return {"repeated_keys": total - blank - distinct, "blank_keys": blank}

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
        condition = f"WHERE (file_row_number * {_GOLDEN}) % {_SPREAD} < {limit}" if self.rows > FORMAT_ROWS else ""
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
            invalid=counts.get(f"invalid{place}"),
            too_long=counts.get(f"long{place}", 0),
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
        judged = spec is not None and _judged_raw(reading[0], spec)
        check = rules.validity(spec, phone_region=self.settings.phone_region) if judged and spec else None
        return _Column(name=name, place=place, rules=reading, spec=spec, check=check)

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

    def _missing(self, names: Sequence[str]) -> str:
        return "(" + " AND ".join(f"f{self.by_name[name].place} IS NULL" for name in names) + ")"

    def _row(self, sql: str, parameters: Sequence[object]) -> tuple[Any, ...]:
        row = self.connection.execute(sql, parameters).fetchone()
        assert row is not None
        return row

    def _number(self, sql: str) -> int:
        return int(self._row(sql, [str(self.source.path)])[0])


def _judged_raw(rule: MappingRule, spec: FieldSpec) -> bool:
    """Whether the raw value must already fit the type: not when a value map or another transform changes it first."""
    return all(step.name in ("text", spec.type.value) for step in rule.transform)
