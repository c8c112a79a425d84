"""The migrations and the tables that the code speaks of are one thing."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import rollout.journal.schema_data
import rollout.journal.schema_operation  # noqa: F401 - their tables belong to the metadata
from rollout.journal import engine
from rollout.journal.schema import metadata


def test_the_migrations_make_the_tables_the_code_knows(empty_pg_url):
    database = engine.connect(empty_pg_url)
    try:
        engine.upgrade(database)
        engine.upgrade(database)  # a second time changes nothing
        with database.connect() as connection:
            assert MigrationContext.configure(connection).get_current_revision() == engine.newest_revision()
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    finally:
        database.dispose()
