"""The audit trail: who did what, when. Each entry's hash covers the one before it, so that a gap or a change shows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, desc, insert, select, text

from rollout.journal.crypto import canonical_json
from rollout.journal.schema import audit

GENESIS = "0" * 64


def append(
    connection: Connection, project_id: str, who: str, action: str, subject: str, detail: dict[str, Any]
) -> None:
    """Append one entry; entries of a project are serialised by an advisory lock until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('audit'), hashtext(:id))"), {"id": project_id})
    last = connection.execute(
        select(audit.c.seq, audit.c.hash).where(audit.c.project_id == project_id).order_by(desc(audit.c.seq)).limit(1)
    ).first()
    entry = {
        "seq": last.seq + 1 if last else 1,
        "project_id": project_id,
        "at": datetime.now(UTC),
        "who": who,
        "action": action,
        "subject": subject,
        "detail": detail,
        "previous_hash": last.hash if last else GENESIS,
    }
    connection.execute(insert(audit).values(**entry, hash=entry_hash(entry)))


def entry_hash(entry: dict[str, Any]) -> str:
    """SHA-256 over the entry's canonical JSON, instants in ISO format, UTC."""
    return hashlib.sha256(canonical_json({**entry, "at": entry["at"].astimezone(UTC).isoformat()})).hexdigest()


def broken_at(connection: Connection, project_id: str) -> int | None:
    """The sequence number at which the chain breaks, or None if it is whole."""
    previous, expected_seq = GENESIS, 1
    rows = connection.execute(select(audit).where(audit.c.project_id == project_id).order_by(audit.c.seq))
    for row in rows.mappings():
        entry = {str(name): value for name, value in row.items() if name != "hash"}
        if row["seq"] != expected_seq or row["previous_hash"] != previous or entry_hash(entry) != row["hash"]:
            return int(row["seq"])
        previous, expected_seq = row["hash"], expected_seq + 1
    return None
