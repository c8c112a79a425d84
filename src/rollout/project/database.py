"""Which database the journal, Prefect and the testbed use: `ROLLOUT_DATABASE_URL`, else the embedded server."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from rollout.errors import ConfigError, Fatal, Retryable
from rollout.project import postgres

if TYPE_CHECKING:  # the loader needs pandas; who only asks for a URL should not wait for it
    from rollout.project.loader import Project

VARIABLE = "ROLLOUT_DATABASE_URL"
_CONNECT_TIMEOUT_S = 10


def database_url(project: Project, *, database: str = "journal", environ: Mapping[str, str] | None = None) -> str:
    """The URL of one of the project's databases, which exists and answers.

    `ROLLOUT_DATABASE_URL` names the journal's database; the others lie beside it on the same server, called
    ``{its name}_{database}``. Without it the embedded server is started if needed.

    Args:
        project: The project.
        database: ``journal``, ``prefect`` or ``testbed``.
        environ: Default: the process's environment.

    Returns:
        A plain ``postgresql://`` URL.

    Raises:
        ConfigError: The variable is no PostgreSQL URL, or a database is missing and we may not make it.
        Retryable: The server does not answer.
        Fatal: The server refuses the user or password.
    """
    named = (os.environ if environ is None else environ).get(VARIABLE)
    if not named:
        server = postgres.start(project.workspace.postgres)
        _create(server, database)
        return postgres.with_database(server, database)
    url = _plain(named)
    with _connect(url):  # asks now, so that a wrong address is told as one
        pass
    if database == "journal":
        return url
    name = f"{urlsplit(url).path.lstrip('/')}_{database}"
    _create(url, name)
    return postgres.with_database(url, name)


def fresh_database_url(project: Project, database: str, *, environ: Mapping[str, str] | None = None) -> str:
    """The URL of one of the project's databases, made anew: whatever was in it is gone.

    Args:
        project: The project.
        database: As for `database_url`; only ``simulation_…``, so that nobody's data can be meant.
        environ: Default: the process's environment.

    Raises:
        ConfigError, Retryable, Fatal: As `database_url`.
    """
    if not database.startswith("simulation_"):
        raise ValueError(f"'{database}' is not for throwing away")
    url = database_url(project, database=database, environ=environ)
    server = postgres.with_database(url, "postgres")
    name = urlsplit(url).path.lstrip("/")
    with _connect(server) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    _create(server, name)
    return url


def _plain(named: str) -> str:
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", named)
    try:
        parts = urlsplit(url)
        whole = parts.scheme == "postgresql" and bool(parts.path.strip("/")) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole:
        raise ConfigError(
            "not the URL of a PostgreSQL database",
            where=VARIABLE,
            hint="write postgresql://USER:PASSWORD@HOST:PORT/NAME",
        )
    return url


def _create(server: str, name: str) -> None:
    with _connect(server) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found:
            return
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # somebody made it at the same moment
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigError(
                f"the database '{name}' is missing and this user may not make it",
                where=VARIABLE,
                hint=f"have it made: CREATE DATABASE {name}",
            ) from error


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    parts = urlsplit(url)
    place = f"{parts.hostname or 'local'}:{parts.port or 5432}{parts.path}"
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[-1].strip()
        if "does not exist" in said and "database" in said:
            raise ConfigError(f"the database does not exist ({place})", where=VARIABLE, hint="make it first") from error
        if "authentication" in said or "role" in said or "pg_hba" in said or "no password" in said:
            raise Fatal(
                f"the database at {place} refuses the user or password",
                where=VARIABLE,
                hint="correct the variable, or unset it to use the embedded server",
            ) from error
        raise Retryable(
            f"the database at {place} does not answer ({said})",
            where=VARIABLE,
            hint="start it, correct the variable, or unset it to use the embedded server",
        ) from error
