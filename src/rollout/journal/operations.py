"""Probes of the health check, and incidents from the first sign until they are over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql

from rollout.journal import schema, schema_operation

_INCIDENT = ("key", "level", "message", "occurrences", "opened_at", "last_seen_at", "closed_at", "notified_at")
_ALL = ("seq", *_INCIDENT, "recovery_notified_at")


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe of one run of the health check. ``latency_s``, ``value``: None where nothing could be measured."""

    run_id: str
    name: str
    is_ok: bool
    latency_s: float | None
    value: float | None
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as reports need it."""

    run_id: str
    phase: str
    state: str
    started_at: datetime
    summary: Mapping[str, Any]


class Operations:
    """One project's probes and incidents. Each method works within the caller's transaction."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id

    def add_probes(self, connection: Connection, probes: Sequence[ProbeRow]) -> None:
        """Record what the probes of a run measured."""
        if probes:
            connection.execute(
                insert(schema_operation.probe),
                [
                    {"project_id": self.project_id, **{name: getattr(row, name) for name in ProbeRow.__slots__}}
                    for row in probes
                ],
            )

    def probes(self, connection: Connection, begin: datetime, end: datetime) -> Iterator[ProbeRow]:
        """What was measured from ``begin`` until before ``end``, oldest first."""
        table = schema_operation.probe
        rows = connection.execute(
            select(*(table.c[name] for name in ProbeRow.__slots__))
            .where(table.c.project_id == self.project_id, table.c.at >= begin, table.c.at < end)
            .order_by(table.c.at, table.c.seq)
            .execution_options(yield_per=10_000)
        )
        for row in rows:
            yield ProbeRow(*row)

    def runs(self, connection: Connection, phase: str, begin: datetime, end: datetime) -> list[RunRow]:
        """Runs of a phase that began from ``begin`` until before ``end``, oldest first, whatever became of them."""
        table = schema.run
        rows = connection.execute(
            select(table.c.run_id, table.c.phase, table.c.state, table.c.started_at, table.c.summary)
            .where(
                table.c.project_id == self.project_id,
                table.c.phase == phase,
                table.c.started_at >= begin,
                table.c.started_at < end,
            )
            .order_by(table.c.started_at, table.c.seq)
        )
        return [RunRow(*row) for row in rows]

    def first_run_at(self, connection: Connection, phases: Sequence[str]) -> datetime | None:
        """When the first run ever of these phases began; None: there was none."""
        table = schema.run
        found: datetime | None = connection.execute(
            select(func.min(table.c.started_at)).where(
                table.c.project_id == self.project_id, table.c.phase.in_(list(phases))
            )
        ).scalar_one()
        return found

    def latest_with(self, connection: Connection, phase: str, path: Sequence[str]) -> RunRow | None:
        """The newest completed run of a phase whose summary holds something at a path; None: there is none."""
        table = schema.run
        found = table.c.summary[tuple(path)]
        row = connection.execute(
            select(table.c.run_id, table.c.phase, table.c.state, table.c.started_at, table.c.summary)
            .where(
                table.c.project_id == self.project_id,
                table.c.phase == phase,
                table.c.state == "completed",
                func.jsonb_typeof(found) == "object",
            )
            .order_by(table.c.seq.desc())
            .limit(1)
        ).first()
        return RunRow(*row) if row else None

    def lock(self, connection: Connection) -> None:
        """Let nobody else change or tell this project's incidents until the transaction ends."""
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"incidents {self.project_id}"}
        )

    def open_incidents(self, connection: Connection) -> list[dict[str, Any]]:
        """Incidents that are not over, oldest first."""
        return self._incidents(connection, self._query().where(schema_operation.incident.c.closed_at.is_(None)))

    def untold_incidents(self, connection: Connection) -> list[dict[str, Any]]:
        """Incidents that are open, or over without anybody having been told."""
        table = schema_operation.incident
        return self._incidents(
            connection, self._query().where(or_(table.c.closed_at.is_(None), table.c.recovery_notified_at.is_(None)))
        )

    def incidents(self, connection: Connection, begin: datetime, end: datetime) -> list[dict[str, Any]]:
        """Incidents that were open at any moment from ``begin`` until before ``end``."""
        table = schema_operation.incident
        return self._incidents(
            connection,
            self._query().where(table.c.opened_at < end, or_(table.c.closed_at.is_(None), table.c.closed_at >= begin)),
        )

    def open(self, connection: Connection, incidents: Sequence[Mapping[str, Any]]) -> None:
        """Record new incidents (see `_INCIDENT`); one whose key is open already is seen once more."""
        for incident in incidents:
            values = {name: incident[name] for name in _INCIDENT}
            connection.execute(
                postgresql.insert(schema_operation.incident)
                .values(project_id=self.project_id, **values)
                .on_conflict_do_update(
                    index_elements=["project_id", "key"],
                    index_where=text("closed_at IS NULL"),
                    set_={
                        "occurrences": schema_operation.incident.c.occurrences + 1,
                        "last_seen_at": values["last_seen_at"],
                        "message": values["message"],
                    },
                )
            )

    def change(self, connection: Connection, seqs: Sequence[int | None], **values: object) -> None:
        """Set columns of incidents, such as ``notified_at``."""
        table = schema_operation.incident
        connection.execute(
            update(table).where(table.c.project_id == self.project_id, table.c.seq.in_(list(seqs))).values(**values)
        )

    def size_bytes(self, connection: Connection) -> int:
        """How large the journal's database is; asking is the database's own probe."""
        return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())

    def _query(self) -> Select[Any]:
        table = schema_operation.incident
        return (
            select(*(table.c[name] for name in _ALL))
            .where(table.c.project_id == self.project_id)
            .order_by(table.c.opened_at, table.c.seq)
        )

    def _incidents(self, connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(query).mappings()]
