"""The journal's tables about a CRM in operation: what syncs carried and could not, probes and incidents.

They belong to `rollout.journal.schema.metadata`. Personal data only in sealed columns (`payload`).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Identity, Index, Integer, LargeBinary, Table, text

from rollout.journal.schema import at, metadata, text_column

# How far a sync has read its feed: the position to go on from, in the feed's own terms, and when it last got through.
sync_cursor = Table(
    "sync_cursor",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("target", primary_key=True),
    text_column("sync", primary_key=True),
    text_column("cursor"),
    at("advanced_at", nullable=True),
)

# What a sync carried: the record of the feed, the record of the target it became, and when. ``digest`` is keyed.
sync_record = Table(
    "sync_record",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("target", primary_key=True),
    text_column("sync", primary_key=True),
    text_column("source_id", primary_key=True),
    text_column("entity"),
    text_column("migration_key"),
    text_column("target_id"),
    text_column("digest"),
    at("changed_at"),
    at("carried_at"),
)

# What a sync could not carry. ``payload`` is sealed; ``resolved_at`` when a later run carried it after all.
dead_letter = Table(
    "dead_letter",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("target", primary_key=True),
    text_column("sync", primary_key=True),
    text_column("source_id", primary_key=True),
    text_column("reason_code"),
    text_column("message"),
    text_column("key_id"),
    Column("payload", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    at("changed_at"),
    at("first_at"),
    at("last_at"),
    at("resolved_at", nullable=True),
)

# One line a probe and run of the health check. ``latency_s`` and ``value`` are NULL where nothing could be measured.
probe = Table(
    "probe",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("run_id"),
    text_column("name"),
    Column("is_ok", Boolean, nullable=False),
    Column("latency_s", Float, nullable=True),
    Column("value", Float, nullable=True),
    text_column("detail"),
    at("at"),
    Index("ix_probe_at", "project_id", "at"),
)

# What is wrong in operation, from the first sign until it is over. One open incident a key.
incident = Table(
    "incident",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("key"),
    text_column("level"),
    text_column("message"),
    Column("occurrences", Integer, nullable=False),
    at("opened_at"),
    at("last_seen_at"),
    at("closed_at", nullable=True),
    at("notified_at", nullable=True),
    at("recovery_notified_at", nullable=True),
)
Index(
    "ix_incident_open",
    incident.c.project_id,
    incident.c.key,
    unique=True,
    postgresql_where=text("closed_at IS NULL"),
)
