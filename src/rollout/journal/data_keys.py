"""Data keys as the journal keeps them: wrapped. Destroying one makes everything sealed under it unreadable."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, text, update

from rollout.errors import ConfigError
from rollout.journal.crypto import KEY_BYTES, KeyRing, Sealer
from rollout.journal.schema import data_key

LEDGER = "ledger"


class DataKeys:
    """The wrapped data keys of a project."""

    def __init__(self, project_id: str, ring: KeyRing) -> None:
        self._project_id = project_id
        self._ring = ring

    def create(self, connection: Connection, purpose: str = "plan") -> Sealer:
        """Make a data key and keep it wrapped."""
        key_id, key = uuid.uuid4().hex, os.urandom(KEY_BYTES)
        connection.execute(
            insert(data_key).values(
                key_id=key_id,
                project_id=self._project_id,
                purpose=purpose,
                wrapped=self._ring.wrap(key, key_id),
                wrapped_by=self._ring.current_id,
                created_at=datetime.now(UTC),
            )
        )
        return Sealer(key_id, key)

    def ledger(self, connection: Connection) -> Sealer:
        """The project's one key for digests that outlive the destruction of plans' keys; made on first use."""
        find = select(data_key.c.key_id).where(data_key.c.project_id == self._project_id, data_key.c.purpose == LEDGER)
        key_id = connection.execute(find).scalar_one_or_none()
        if key_id is None:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext('ledger key'), hashtext(:id))"), {"id": self._project_id}
            )
            key_id = connection.execute(find).scalar_one_or_none()
        return self.create(connection, LEDGER) if key_id is None else self.open(connection, key_id)

    def open(self, connection: Connection, key_id: str) -> Sealer:
        """Unwrap a data key. Raises ConfigError when it is unknown, destroyed, or its ring key is missing."""
        row = connection.execute(
            select(data_key).where(data_key.c.key_id == key_id, data_key.c.project_id == self._project_id)
        ).first()
        if row is None:
            raise ConfigError(f"data key {key_id} is not in the journal", hint="make a new plan with `rollout plan`")
        if row.wrapped is None:
            raise ConfigError(
                f"data key {key_id} was destroyed on {row.destroyed_at:%Y-%m-%d}, as the retention rules demand",
                hint="make a new plan with `rollout plan`",
            )
        return Sealer(key_id, self._ring.unwrap(row.wrapped, row.wrapped_by, key_id))

    def destroy(self, connection: Connection, key_id: str, at: datetime) -> None:
        """Delete the wrapped key: nothing that was sealed under it can be opened any more."""
        connection.execute(
            update(data_key)
            .where(data_key.c.key_id == key_id, data_key.c.project_id == self._project_id, data_key.c.purpose != LEDGER)
            .values(wrapped=None, destroyed_at=at)
        )
