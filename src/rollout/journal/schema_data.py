"""The journal's tables about the data itself: what people said about rows and pairs, and what was handed out to them.

They belong to `rollout.journal.schema.metadata`. Personal data only in sealed columns (`values`, `note`).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Identity, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql import JSONB

from rollout.journal.schema import at, metadata, text_column

# A workbook that went to somebody: rows of the quarantine, pairs to review, a sample to check, a mapping to confirm.
handout = Table(
    "handout",
    metadata,
    text_column("handout_id", primary_key=True),
    text_column("project_id"),
    text_column("kind"),
    text_column("entity", nullable=True),
    text_column("recipient"),
    Column("rows", Integer, nullable=False),
    Column("answered", Integer, nullable=False, server_default="0"),
    Column("due_on", Date, nullable=True),
    text_column("file"),
    text_column("sha256"),
    Column("unmasked", Boolean, nullable=False),
    text_column("exported_by"),
    at("exported_at"),
    text_column("returned_by", nullable=True),
    at("returned_at", nullable=True),
    Index("ix_handout_project", "project_id", "kind", "exported_at"),
)

# What a named person said about a source row that was held back: values put right (sealed, by field, as one would type
# them in the source), or that the row is left out. It holds while the row says what it said then (``row_hash``).
source_decision = Table(
    "source_decision",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("entity"),
    text_column("source_key"),
    text_column("action"),
    text_column("row_hash"),
    text_column("key_id", nullable=True),
    Column("values", LargeBinary, nullable=True),
    text_column("handout_id", nullable=True),
    text_column("person"),
    text_column("reason"),
    at("at"),
    Index("ix_source_decision_row", "project_id", "entity", "source_key", "seq"),
)

# Whether two records are the same, as a named person said; ``left_key`` sorts before ``right_key``. The newest counts.
pair_decision = Table(
    "pair_decision",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("entity"),
    text_column("left_key"),
    text_column("right_key"),
    text_column("verdict"),
    text_column("handout_id", nullable=True),
    text_column("person"),
    text_column("reason"),
    at("at"),
    Index("ix_pair_decision_pair", "project_id", "entity", "left_key", "right_key", "seq"),
)

# What becomes of a dormant record; ``source_key`` '*' speaks of all that no line of their own names. The newest counts.
dormant_decision = Table(
    "dormant_decision",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("entity"),
    text_column("source_key"),
    text_column("choice"),
    text_column("person"),
    text_column("reason"),
    at("at"),
    Index("ix_dormant_decision_row", "project_id", "entity", "source_key", "seq"),
)

# A record's number, given once and never again to another one.
record_number = Table(
    "record_number",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("migration_key", primary_key=True),
    text_column("number"),
    Column("day", Date, nullable=False),
    Column("serial", Integer, nullable=False),
    at("at"),
    Index("ux_record_number", "project_id", "entity", "number", unique=True),
    Index("ux_record_number_serial", "project_id", "entity", "day", "serial", unique=True),
)

# A trained match model, kept so that matching again with more data weighs the same pairs the same way.
match_model = Table(
    "match_model",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("entity", primary_key=True),
    text_column("settings_digest", primary_key=True),
    Column("model", JSONB, nullable=False),
    Column("rows", BigInteger, nullable=False),
    at("trained_at"),
)

# What a person saw when they compared a loaded record with what it came from; verdict `asked` is the line as it went
# out. The newest answer counts as long as the record was not loaded again with other values (``seen``: their digest).
sample_check = Table(
    "sample_check",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    text_column("project_id"),
    text_column("target"),
    text_column("wave"),
    text_column("entity"),
    text_column("migration_key"),
    text_column("handout_id"),
    text_column("verdict"),
    text_column("seen"),
    text_column("key_id", nullable=True),
    Column("note", LargeBinary, nullable=True),
    text_column("person"),
    at("at"),
    Index("ix_sample_check_row", "project_id", "target", "wave", "entity", "migration_key", "seq"),
)
