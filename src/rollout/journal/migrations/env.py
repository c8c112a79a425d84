"""Alembic's entry point. Run by :func:`rollout.journal.engine.upgrade`, which hands over an open connection."""

from alembic import context

import rollout.journal.schema_data
import rollout.journal.schema_operation  # noqa: F401 - their tables belong to the metadata
from rollout.journal.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
