"""The journal's tables. Instants are UTC; personal data only in sealed columns (`*_image`, `payload`, `value`)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def at(name: str, *, nullable: bool = False) -> Column[object]:
    """An instant."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def text_column(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=nullable, primary_key=primary_key)


run = Table(
    "run",
    metadata,
    text_column("run_id", primary_key=True),
    Column("seq", BigInteger, Identity(), nullable=False),
    text_column("project_id"),
    text_column("phase"),
    text_column("entity", nullable=True),
    text_column("wave"),
    text_column("state"),
    at("started_at"),
    at("ended_at", nullable=True),
    text_column("host"),
    Column("pid", Integer, nullable=False),
    text_column("code_version"),
    Column("summary", JSONB, nullable=False),
    Index("ix_run_latest", "project_id", "phase", "seq"),
)

finding = Table(
    "finding",
    metadata,
    Column("run_id", Text, ForeignKey("run.run_id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    text_column("id"),
    text_column("level"),
    Column("body", JSONB, nullable=False),
)

gate = Table(
    "gate",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    Column("run_id", Text, ForeignKey("run.run_id"), nullable=False),
    text_column("gate"),
    text_column("wave"),
    text_column("verdict"),
    Column("result", JSONB, nullable=False),
    at("judged_at"),
    Index("ix_gate_latest", "project_id", "gate", "seq"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    text_column("project_id", primary_key=True),
    at("at"),
    text_column("who"),
    text_column("action"),
    text_column("subject"),
    Column("detail", JSONB, nullable=False),
    text_column("previous_hash"),
    text_column("hash"),
)

person = Table(
    "person",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("name", primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    at("created_at"),
    at("revoked_at", nullable=True),
)

data_key = Table(
    "data_key",
    metadata,
    text_column("key_id", primary_key=True),
    text_column("project_id"),
    text_column("purpose"),
    Column("wrapped", LargeBinary, nullable=True),
    text_column("wrapped_by"),
    at("created_at"),
    at("destroyed_at", nullable=True),
)
Index(
    "ix_data_key_ledger",
    data_key.c.project_id,
    unique=True,
    postgresql_where=text("purpose = 'ledger'"),
)

# The ledger: where each source row is, before any load. One header an entity and wave, one line a source row.
ledger = Table(
    "ledger",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("wave", primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("source_rows", BigInteger, nullable=False),
    text_column("run_id", nullable=True),
    at("recorded_at"),
)

source_row = Table(
    "source_row",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("source_key", primary_key=True),
    text_column("wave"),
    text_column("disposition"),
    text_column("golden_key", nullable=True),
    text_column("reason_code", nullable=True),
)

# A migration key is assigned once and never derived: this table is its only source.
key_assignment = Table(
    "key_assignment",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("source_key", primary_key=True),
    text_column("migration_key"),
    Index("ix_key_assignment_key", "project_id", "entity", "migration_key"),
)

plan = Table(
    "plan",
    metadata,
    text_column("plan_id", primary_key=True),
    Column("seq", BigInteger, Identity(), nullable=False),
    text_column("project_id"),
    # load | delta: all records of a wave. retry: rows that a load left over. undo | unmerge: see ``scope``.
    Column("kind", Text, nullable=False, server_default="load"),
    Column("scope", JSONB, nullable=False, server_default="{}"),
    text_column("target"),
    text_column("wave"),
    text_column("state"),
    text_column("plan_hash"),
    text_column("key_id"),
    Column("inputs", JSONB, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("estimate", JSONB, nullable=False),
    text_column("code_version"),
    at("created_at"),
    at("begun_at", nullable=True),
    Index("ix_plan_latest", "project_id", "target", "seq"),
)

plan_row = Table(
    "plan_row",
    metadata,
    # Deliberately no foreign key: checking it costs more than writing the row.
    text_column("plan_id", primary_key=True),
    text_column("entity", primary_key=True),
    Column("ordinal", BigInteger, primary_key=True),
    text_column("migration_key"),
    text_column("golden_key"),
    text_column("action"),
    text_column("reason_code", nullable=True),
    text_column("digest"),
    Column("payload", LargeBinary, nullable=False),
    Index("ix_plan_row_key", "plan_id", "entity", "migration_key", unique=True),
)

approval = Table(
    "approval",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    Column("plan_id", Text, ForeignKey("plan.plan_id"), nullable=False),
    text_column("plan_hash"),
    text_column("person"),
    text_column("reason"),
    at("at"),
)

# The intents of the calls under way, and of those that are next: one line a batch, gone once all its rows have lines in
# row_state. What a crash leaves becomes lines in state ``intent`` before anything else is done.
open_batch = Table(
    "open_batch",
    metadata,
    Column("batch", BigInteger, Identity(), primary_key=True),
    text_column("plan_id"),
    text_column("entity"),
    Column("step", Integer, nullable=False),
    text_column("run_id"),
    Column("migration_keys", ARRAY(Text), nullable=False),
    Column("attempts", ARRAY(Integer), nullable=False),
    Column("before_images", ARRAY(LargeBinary), nullable=False),
    at("intent_at"),
)

# One line an attempt at a row that was decided, or that must be decided by looking at the target: in state ``intent``
# or ``unknown``. A closed line never changes again.
row_state = Table(
    "row_state",
    metadata,
    text_column("plan_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("migration_key", primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    text_column("state"),
    text_column("run_id"),
    text_column("digest"),
    Column("before_image", LargeBinary, nullable=True),
    Column("after_image", LargeBinary, nullable=True),
    text_column("target_id", nullable=True),
    text_column("reason_code", nullable=True),
    text_column("message", nullable=True),
    at("intent_at"),
    at("ended_at", nullable=True),
)
# Partial, so that no look-up of one row's lines can fall for it: without statistics it would look the most selective.
Index(
    "ix_row_state_open",
    row_state.c.plan_id,
    row_state.c.entity,
    postgresql_where=text("state IN ('intent', 'unknown')"),
)

# The view row_line shows row_state together with the batches under way: what a row's newest state is to whoever asks
# without holding the lease.

# The crosswalk's last leg: which record of a target a migration key stands for. ``base`` is what a three-way plan
# compares with: by field the keyed digest of what we sent, and of what was stored for it if that differs.
target_record = Table(
    "target_record",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("target", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("migration_key", primary_key=True),
    text_column("target_id"),
    Column("base", JSONB, nullable=False),
)

# What a named person decided about a row that a load could not finish: one line a decision, the newest counts.
# ``values`` are the fields they repaired, sealed; a later plan applies them while the source says the same as then.
row_decision = Table(
    "row_decision",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("target"),
    text_column("entity"),
    text_column("migration_key"),
    text_column("golden_key"),
    text_column("plan_id"),
    text_column("action"),
    text_column("target_id", nullable=True),
    text_column("key_id", nullable=True),
    Column("values", LargeBinary, nullable=True),
    text_column("person"),
    text_column("reason"),
    at("at"),
    Index("ix_row_decision_row", "project_id", "target", "entity", "migration_key", "seq"),
)

# Source rows that a named person took out of the record they had been merged into: matching leaves them alone.
kept_apart = Table(
    "kept_apart",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("source_key", primary_key=True),
    text_column("plan_id"),
    at("at"),
)

lease = Table(
    "lease",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("name", primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", JSONB, nullable=False),
    at("acquired_at"),
    at("expires_at"),
)

token_bucket = Table(
    "token_bucket",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("system", primary_key=True),
    Column("tokens", Float, nullable=False),
    at("refilled_at"),
)

# Go or no-go of a phase, by name. ``gates`` is what the person saw: a newer judgement of a gate makes it out of date.
decision = Table(
    "decision",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("phase"),
    text_column("wave"),
    Column("is_go", Boolean, nullable=False),
    Column("is_override", Boolean, nullable=False),
    text_column("person"),
    text_column("reason"),
    Column("gates", JSONB, nullable=False),
    at("at"),
    Index("ix_decision_latest", "project_id", "phase", "seq"),
)
