"""Since when nothing happened with a record: SQL over its own dates and those of what points to it. Pure.

Dates are canonical text (`YYYY-MM-DD`, or an instant of which the day counts). A day that has not come yet is a typing
error or a plan, and no sign of life.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from rollout.assess.rules import literal

_MONTHS = 12


@dataclass(frozen=True)
class Trace:
    """A sign of life.

    Attributes:
        kind: What it is: the entity that points to the record, or a date field of the record itself.
        query: SQL of the rows `record` (the record's identity) and `moment` (canonical text; may be null).
    """

    kind: str
    query: str


def last_seen(records: str, traces: Sequence[Trace], *, until: date) -> str:
    """SQL of one row a record: `record`, `last_on` (a day; null: never seen) and `last_kind`.

    Args:
        records: SQL of the records, with the column `record`; each is there once.
        traces: Their signs of life; rows whose record is not among them count for nothing.
        until: Today, in the project's time zone.
    """
    if not traces:
        return f"SELECT record, NULL::DATE AS last_on, NULL::VARCHAR AS last_kind FROM ({records})"  # noqa: S608
    told = " UNION ALL ".join(
        f"SELECT record, max(day) AS day, {literal(trace.kind)} AS kind FROM "  # noqa: S608
        f"(SELECT record, try_cast(left(moment, 10) AS DATE) AS day FROM ({trace.query})) "
        f"WHERE day <= DATE {literal(until.isoformat())} GROUP BY record"
        for trace in traces
    )
    return (
        f"SELECT r.record, max(t.day) AS last_on, arg_max(t.kind, t.day) AS last_kind FROM ({records}) AS r "  # noqa: S608
        f"LEFT JOIN ({told}) AS t ON t.record = r.record GROUP BY r.record"
    )


def is_dormant(after_years: float, today: date) -> str:
    """SQL condition over `last_seen`: nothing happened since the cut-off, or ever."""
    return f"(last_on IS NULL OR last_on < DATE {literal(cutoff(after_years, today).isoformat())})"


def cutoff(after_years: float, today: date) -> date:
    """The day that many years ago, in whole months; who was last seen before it is dormant."""
    months = today.year * _MONTHS + today.month - 1 - max(round(after_years * _MONTHS), 1)
    year, month = divmod(months, _MONTHS)
    return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))
