"""Alembic's entry point. Run by :func:`rollout.journal.engine.upgrade`, which hands over an open connection."""

from alembic import context

from rollout.journal.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
