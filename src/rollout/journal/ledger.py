"""The ledger of source rows and the conservation table that follows from it (promise 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import ARRAY, Connection, Text, cast, delete, func, insert, select, text

from rollout.journal import schema
from rollout.journal.engine import analyze, driver_cursor
from rollout.journal.overlay import EFFECTIVE, overlays, parameters
from rollout.model.outcome import Accounting, Bucket

LedgerRow = tuple[str, str, str | None, str | None, str]
"""(source key, disposition, golden key, reason code, wave); disposition: golden | merged | quarantined | skipped."""

DISPOSITIONS = {"merged": Bucket.MERGED, "quarantined": Bucket.QUARANTINED, "skipped": Bucket.SKIPPED}

# Asked with the plans' ids: from a join with them PostgreSQL would expect a handful of lines, and look up each row.
_ACCOUNTING = text(f"""
WITH {EFFECTIVE}, outcome AS MATERIALIZED (
    SELECT e.wave, entity, p.golden_key, e.state FROM effective e JOIN plan_row p USING (plan_id, entity, migration_key)
    WHERE p.plan_id = ANY(CAST(:plans AS text[]))
)
SELECT r.entity, r.disposition, o.state, count(*) AS rows
FROM source_row r
LEFT JOIN outcome o
  ON r.disposition = 'golden' AND o.wave = r.wave AND o.entity = r.entity AND o.golden_key = r.source_key
WHERE r.project_id = :project AND (CAST(:wave AS text) IS NULL OR r.wave = :wave)
GROUP BY r.entity, r.disposition, o.state
""")


class Ledger:
    """Where each source row of a project is."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id

    def replace(
        self,
        connection: Connection,
        entity: str,
        rows: Iterable[LedgerRow],
        *,
        source_rows: Mapping[str, int],
        ordinal: int,
        run_id: str | None,
    ) -> None:
        """Replace an entity's rows of all waves. A source key that appears twice violates the primary key."""
        for table in (schema.source_row, schema.ledger):
            connection.execute(delete(table).where(table.c.project_id == self._project_id, table.c.entity == entity))
        recorded = {"project_id": self._project_id, "entity": entity, "ordinal": ordinal, "run_id": run_id}
        connection.execute(
            insert(schema.ledger),
            [
                {**recorded, "wave": wave, "source_rows": rows_read, "recorded_at": datetime.now(UTC)}
                for wave, rows_read in source_rows.items()
            ],
        )
        with driver_cursor(connection).copy(
            "COPY source_row (project_id, entity, source_key, disposition, golden_key, reason_code, wave) FROM STDIN"
        ) as copy:
            for row in rows:
                copy.write_row((self._project_id, entity, *row))
        analyze(connection, schema.source_row)

    def forget_but(self, connection: Connection, entities: Sequence[str]) -> None:
        """Remove the rows of all other entities. Their keys, and what was loaded of them, stay known."""
        for table in (schema.source_row, schema.ledger):
            others = table.c.entity.not_in(list(entities))
            connection.execute(delete(table).where(table.c.project_id == self._project_id, others))

    def runs(self, connection: Connection) -> dict[str, str | None]:
        """The cleansing that each entity's ledger is of; its waves are recorded together."""
        table = schema.ledger
        rows = connection.execute(select(table.c.entity, table.c.run_id).where(table.c.project_id == self._project_id))
        return {row.entity: row.run_id for row in rows}

    def waves(self, connection: Connection, entity: str, source_keys: Sequence[str]) -> dict[str, str]:
        """Waves by source key."""
        table = schema.source_row
        rows = connection.execute(
            select(table.c.source_key, table.c.wave).where(
                table.c.project_id == self._project_id,
                table.c.entity == entity,
                table.c.source_key == func.any(cast(list(source_keys), ARRAY(Text))),
            )
        )
        return {row.source_key: row.wave for row in rows}

    def has_others(self, connection: Connection, entity: str, wave: str) -> bool:
        """Whether an entity has rows in other waves than this one."""
        table = schema.ledger
        others = select(table.c.entity).where(
            table.c.project_id == self._project_id, table.c.entity == entity, table.c.wave != wave
        )
        return bool(connection.execute(select(others.exists())).scalar_one())

    def golden_key(self, connection: Connection, entity: str, source_key: str) -> str | None:
        """The golden record that a source row became part of; None: there is no such row, or it is held back."""
        found: str | None = connection.execute(
            text(
                "SELECT CASE disposition WHEN 'golden' THEN source_key ELSE golden_key END FROM source_row"
                " WHERE project_id = :project AND entity = :entity AND source_key = :key"
                " AND disposition IN ('golden', 'merged')"
            ),
            {"project": self._project_id, "entity": entity, "key": source_key},
        ).scalar_one_or_none()
        return found

    def held_back(self, connection: Connection, *, wave: str) -> list[tuple[str, Bucket, str, int]]:
        """Source rows that never came to a plan: entity, bucket, reason code, rows; most rows first.

        A row that is held back for several reasons counts under each.
        """
        rows = connection.execute(
            text(
                "SELECT entity, disposition, reason, count(*) AS rows"
                " FROM source_row, unnest(string_to_array(reason_code, ',')) AS reason"
                " WHERE project_id = :project AND wave = :wave"
                " AND disposition IN ('quarantined', 'skipped') GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 3"
            ),
            {"project": self._project_id, "wave": wave},
        )
        return [(row.entity, DISPOSITIONS[row.disposition], row.reason, row.rows) for row in rows]

    def accounting(self, connection: Connection, target: str | None, *, wave: str | None = None) -> list[Accounting]:
        """The conservation table of a wave (None: of each) in ``target`` (None: in the one loaded last).

        It is as the wave's latest load, and the retries and undos after it, left the rows.
        """
        chosen = {"project": self._project_id, "wave": wave}
        headers = connection.execute(
            text(
                "SELECT entity, sum(source_rows)::bigint AS source_rows FROM ledger WHERE project_id = :project"
                " AND (CAST(:wave AS text) IS NULL OR wave = :wave) GROUP BY entity ORDER BY min(ordinal), entity"
            ),
            chosen,
        ).all()
        loaded = overlays(connection, self._project_id, target, wave=wave)
        counts: dict[str, dict[str, int]] = {header.entity: {} for header in headers}
        for row in connection.execute(_ACCOUNTING, {**chosen, **parameters(loaded)}):
            name = DISPOSITIONS[row.disposition].value if row.disposition != "golden" else bucket_of_state(row.state)
            entity_counts = counts[row.entity]
            entity_counts[name] = entity_counts.get(name, 0) + row.rows
            if row.state == "undone":
                entity_counts["undone"] = row.rows
        return [
            Accounting.model_validate({"entity": header.entity, "source": header.source_rows, **counts[header.entity]})
            for header in headers
        ]


def bucket_of_state(state: str | None) -> str:
    """The accounting column of a golden row's newest state; without one it is not loaded yet.

    An open intent counts as unknown: whether it landed has not been decided yet. What was taken back is not in the
    target because people said so, like what they skipped.
    """
    if state is None or state == "retried":
        return "not_loaded"
    if state == "undone":
        return Bucket.SKIPPED.value
    return Bucket.UNKNOWN.value if state == "intent" else Bucket(state).value
