"""Figures of an entity as a whole: who its records belong to, which years they are of, which of them are dormant.

Set-wise DuckDB SQL over what the mappings make of its rows; nothing here looks at a record by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from rollout.assess.dormancy import Trace, cutoff, is_dormant, last_seen
from rollout.assess.entity_model import (
    AgeBand,
    Dormancy,
    KindCount,
    OwnerCount,
    Owners,
    Volumes,
    YearCount,
)
from rollout.assess.rules import literal, quoted
from rollout.model import masking

TOP_OWNERS = 12
MOST_NAMES = 5_000
"""Distinct owners of a source that are looked up one by one; a column with more of them names no owners."""
_YEARS = (1900, 2199)
"""A date outside of these is no date of a record."""


def volumes(
    connection: duckdb.DuckDBPyConnection, mapped: Path, sources: Sequence[str], field: str, label: str, *, today: date
) -> Volumes:
    """Records by source and year.

    Args:
        connection: Reads the file.
        mapped: What the mappings make of the entity's rows.
        sources: The sources, in their order.
        field: A date or datetime field.
        label: What people call it.
        today: Later days are counted apart, too.
    """
    found = connection.execute(
        f"SELECT _source, year, count(*), count(*) FILTER (day > ?) FROM (SELECT _source, {quoted(field)} AS day, "  # noqa: S608 - name quoted
        f"try_cast(left({quoted(field)}, 4) AS INTEGER) AS year FROM read_parquet(?)) GROUP BY 1, 2 ORDER BY 1, 2",
        [f"{today.isoformat()}~", str(mapped)],
    ).fetchall()
    dated = [(source, year, rows) for source, year, rows, _ in found if year and _YEARS[0] <= year <= _YEARS[1]]
    order = {name: place for place, name in enumerate(sources)}
    dated.sort(key=lambda item: (order.get(item[0], len(order)), item[1]))
    return Volumes(
        field=field,
        label=label,
        years=tuple(YearCount(source=source, year=year, records=rows) for source, year, rows in dated),
        undated=sum(rows for *_, rows, _ in found) - sum(rows for *_, rows in dated),
        ahead=sum(ahead for *_, ahead in found),
    )


@dataclass(frozen=True)
class Seen:
    """What another entity's records say about when these were last heard of.

    Attributes:
        entity: The other entity, or a date field of the records themselves.
        mapped: What the mappings make of its rows; None: the records' own.
        reference: Its field that points to the record; unused for the records' own.
        date: Its date or datetime field.
    """

    entity: str
    mapped: Path | None
    reference: str
    date: str


def dormancy(
    connection: duckdb.DuckDBPyConnection, records: str, seen: Iterable[Seen], *, after_years: float, today: date
) -> Dormancy:
    """Since when nothing happened with the records.

    Args:
        connection: Gets a temporary table.
        records: SQL of the rows: `record`, `key` (what references hold) and the date fields; a record may have several.
        seen: Their signs of life.
        after_years: From when on a record counts as dormant.
        today: In the project's time zone.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE assessed_record AS {records}")
    traces = [Trace(one.entity, _trace(one)) for one in seen]
    query = last_seen("SELECT DISTINCT record FROM assessed_record", traces, until=today)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE assessed_seen AS {query}")
    total, asleep, never = connection.execute(
        f"SELECT count(*), count(*) FILTER ({is_dormant(after_years, today)}), count(*) FILTER (last_on IS NULL) "  # noqa: S608
        "FROM assessed_seen"
    ).fetchall()[0]
    ages = connection.execute(
        # Whole years before today, counted as the cut-off is: three years ago to the day are not yet three years.
        "SELECT date_sub('month', last_on + 1, ?::DATE) // 12 AS years, count(*) FROM assessed_seen "
        "WHERE last_on IS NOT NULL GROUP BY 1 ORDER BY 1",
        [today],
    ).fetchall()
    kinds = connection.execute(
        "SELECT last_kind, count(*) FROM assessed_seen WHERE last_kind IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    connection.execute("DROP TABLE assessed_record; DROP TABLE assessed_seen")
    return Dormancy(
        records=total,
        dormant=asleep,
        never=never,
        after_years=after_years,
        cutoff=cutoff(after_years, today),
        ages=tuple(AgeBand(years=years, records=rows) for years, rows in ages),
        kinds=tuple(KindCount(kind=kind, records=rows) for kind, rows in kinds),
    )


def _trace(seen: Seen) -> str:
    if seen.mapped is None:
        return f"SELECT record, {quoted(seen.date)} AS moment FROM assessed_record"  # noqa: S608 - name quoted
    return (
        f"SELECT r.record, s.{quoted(seen.date)} AS moment FROM read_parquet({literal(str(seen.mapped))}) AS s "  # noqa: S608
        f"JOIN assessed_record AS r ON r.key = s.{quoted(seen.reference)}"
    )


@dataclass(frozen=True)
class NamedOwner:
    """A name that sources use, how many rows have it, and what the owner map makes of it."""

    name: str
    rows: int
    user: str | None
    pool: bool = False


def raw_names(connection: duckdb.DuckDBPyConnection, stage: Path, column: str) -> list[tuple[str | None, int]]:
    """The distinct cells of a raw stage's column and their rows; none if there are far too many for names."""
    return connection.execute(
        f"SELECT {quoted(column)} AS name, count(*) AS n FROM read_parquet(?) GROUP BY 1 "  # noqa: S608 - name quoted
        f"QUALIFY count(*) OVER () <= {MOST_NAMES} ORDER BY n DESC, name",
        [str(stage)],
    ).fetchall()


def owners(named: Iterable[NamedOwner], *, blank: int) -> Owners:
    """Who rows belong to. Unknown names leave here masked; users of the target are logins."""
    users: Counter[str] = Counter()
    spellings: Mapping[str, set[str]] = defaultdict(set)
    unknown: Counter[str] = Counter()
    pool: Counter[str] = Counter()
    for one in named:
        if one.pool:
            pool[one.name] += one.rows
        elif one.user is None:
            unknown[one.name] += one.rows
        else:
            users[one.user] += one.rows
            spellings[one.user].add(one.name)
    mapped = sum(users.values())
    return Owners(
        rows=mapped + sum(unknown.values()) + sum(pool.values()) + blank,
        mapped=mapped,
        pool=sum(pool.values()),
        unknown=sum(unknown.values()),
        unknown_names=len(unknown),
        leavers=len(pool),
        successors=sum(len(names) - 1 for names in spellings.values()),
        blank=blank,
        users=_counts(users),
        unknown_top=_counts(Counter(dict(unknown)), mask=True),
    )


def _counts(found: Counter[str], *, mask: bool = False) -> tuple[OwnerCount, ...]:
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:TOP_OWNERS]
    return tuple(OwnerCount(name=masking.mask_name(name) if mask else name, rows=rows) for name, rows in ordered)
