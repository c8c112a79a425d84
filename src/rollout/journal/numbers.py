"""Numbers of records: given once a migration key, never again to another one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, text

from rollout.journal.engine import ANY_TEXT, driver_cursor, texts

_KNOWN = f"""
SELECT migration_key, number FROM record_number
WHERE project_id = %s AND entity = %s AND migration_key = {ANY_TEXT}
"""
_LAST = "SELECT coalesce(max(serial), 0) FROM record_number WHERE project_id = %s AND entity = %s AND day = %s"
_BY_GOLDEN = """
SELECT k.source_key, n.number FROM record_number n JOIN key_assignment k USING (project_id, entity, migration_key)
WHERE n.project_id = %s AND n.entity = %s
"""


class NumberStyle(NamedTuple):
    """How a number is written: prefix, day, serial."""

    prefix: str
    digits: int

    def written(self, day: date, serial: int) -> str:
        """A number; the serial grows when a day needs more digits."""
        return f"{self.prefix}{day:%Y%m%d}{serial:0{self.digits}d}"


def give(
    connection: Connection,
    project_id: str,
    entity: str,
    migration_keys: Sequence[str],
    *,
    style: NumberStyle,
    day: date,
) -> dict[str, str]:
    """The numbers of records by migration key; those that have none get the day's next ones, in their order."""
    known = _known(connection, project_id, entity, migration_keys)
    if all(key in known for key in migration_keys):
        return known
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:place, 0))")
    connection.execute(lock, {"place": f"record_number/{project_id}/{entity}"})
    known = _known(connection, project_id, entity, migration_keys)  # somebody may have been quicker
    cursor = driver_cursor(connection)
    first = cursor.execute(_LAST, (project_id, entity, day)).fetchone()
    serial = int(str(first[0])) if first else 0
    columns = "(project_id, entity, migration_key, number, day, serial, at)"
    now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    with cursor.copy(f"COPY record_number {columns} FROM STDIN") as copy:
        for key in dict.fromkeys(migration_keys):
            if key not in known:
                serial += 1
                known[key] = style.written(day, serial)
                copy.write_row((project_id, entity, key, known[key], day, serial, now))
    return known


def by_source_key(connection: Connection, project_id: str, entity: str) -> dict[str, str]:
    """Every number of an entity by the source keys of the record that has it, its golden key among them."""
    rows = driver_cursor(connection).execute(_BY_GOLDEN, (project_id, entity))
    return {str(key): str(number) for key, number in rows}


def _known(connection: Connection, project_id: str, entity: str, migration_keys: Sequence[str]) -> dict[str, str]:
    rows = driver_cursor(connection).execute(_KNOWN, (project_id, entity, texts(migration_keys)))
    return {str(key): str(number) for key, number in rows}
