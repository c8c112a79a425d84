"""Connections to the journal's database, its migrations, and the translation of the driver's errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psycopg
from sqlalchemy import Connection, Engine, Table, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from rollout.errors import ConfigError, Retryable

__all__ = [
    "ANY_TEXT",
    "ROUGHLY",
    "TEXT_ARRAY",
    "Connection",
    "analyze",
    "connect",
    "driver_cursor",
    "journal_errors",
    "server_cursor",
    "texts",
    "transaction",
    "upgrade",
]

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_305_801_112
"""Advisory lock that serialises migrations; an arbitrary number that is ours."""


def connect(url: str) -> Engine:
    """An engine for a ``postgresql://`` URL."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    if not url.startswith("postgresql+psycopg://"):
        raise ConfigError("the journal needs PostgreSQL", where="ROLLOUT_DATABASE_URL", hint="use a postgresql:// URL")
    # No prepared statements: a plan made while a table was empty would stay when it holds a million rows.
    # Accounts of a million rows are sorted in memory.
    arguments = {"connect_timeout": 10, "prepare_threshold": None, "options": "-c work_mem=64MB"}
    return create_engine(url, pool_size=8, max_overflow=24, hide_parameters=True, connect_args=arguments)


@contextmanager
def journal_errors() -> Iterator[None]:
    """Turn a lost database into an error that says what to do; everything else is a defect and stays as it is."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise Retryable(
            f"the journal's database cannot be used: {_first_line(error)}",
            hint="start it (`rollout db start`, or check ROLLOUT_DATABASE_URL), then run the same command again",
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Retryable(
            f"the journal's database cannot be used: {str(error).strip().splitlines()[0]}",
            hint="start it (`rollout db start`, or check ROLLOUT_DATABASE_URL), then run the same command again",
        ) from error


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits at the end, with the driver's errors translated."""
    with journal_errors(), engine.begin() as connection:
        yield connection


def driver_cursor(connection: Connection) -> psycopg.Cursor[tuple[object, ...]]:
    """The psycopg cursor beneath a SQLAlchemy connection, for COPY and arrays within the same transaction."""
    return _driver(connection).cursor()


def server_cursor(connection: Connection, name: str) -> psycopg.ServerCursor[tuple[object, ...]]:
    """A psycopg cursor whose result stays on the server and is fetched in parts. Close it."""
    return _driver(connection).cursor(name)


def _driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


TEXT_ARRAY = "ARRAY(SELECT json_array_elements_text(%s::json))"
"""SQL: the texts in a parameter made by :func:`texts`, in their order."""
ANY_TEXT = f"ANY({TEXT_ARRAY})"
"""SQL: any of the texts in a parameter made by :func:`texts`."""


def texts(values: Iterable[str]) -> str:
    """Many texts as one parameter; the driver takes ten times as long over an array."""
    return orjson.dumps(list(values)).decode()


ROUGHLY = 10
"""Statistics target where it matters how many rows there are, and of how many plans.

Its sample of 3,000 rows is taken in a tenth of the time of the usual one, which reads every page of most tables."""


def analyze(connection: Connection, *tables: Table, statistics_target: int = 100) -> None:
    """Refresh the planner's statistics after many rows were written at once; autovacuum comes too late for a load."""
    connection.execute(text(f"SET LOCAL default_statistics_target = {statistics_target:d}"))
    for table in tables:
        connection.execute(text(f"ANALYZE {table.name}"))


def upgrade(engine: Engine) -> None:
    """Bring the schema up to date, under an advisory lock so that two processes never migrate at once.

    Raises:
        ConfigError: It is a later version's.
        Retryable: The database is down.
    """
    with journal_errors(), engine.begin() as connection:
        held = _revision(connection)
        if held == newest_revision():
            return
        if held is not None and held not in _revisions():
            raise ConfigError(
                f"the journal's schema is of a later version of rollout ({held}; this one knows {newest_revision()})",
                where="ROLLOUT_DATABASE_URL",
                hint="install the version that the journal was last used with; nothing was changed",
            )
        # Imported only here: it takes half a second, and almost every command finds the schema as it should be.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def newest_revision() -> str:
    """The newest migration's revision."""
    return max(_revisions())


def _revisions() -> set[str]:
    """All revisions: the numbers that the migrations' file names begin with."""
    return {path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _revision(connection: Connection) -> str | None:
    """The revision the database is at; None where it has never been migrated."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
