"""The CRM's tables, derived from the entities, and their creation with the made-up users at start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    create_engine,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.schema import CreateColumn

from rollout.testbed.distortion import suffers
from rollout.testbed.entities import ENTITIES, MAX_KEY_LENGTH, ROLES, USERS, Entity, Field, Kind, Role
from rollout.testbed.fault_kinds import Fault
from rollout.testbed.passwords import hash_password

CONCURRENCY = 16
"""Requests served at once, each with one connection at a time: the others wait for a thread, never for a connection."""
DECIMAL_DIGITS = 20
DECIMAL_PLACES = 6

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("login", String(50), primary_key=True),
    Column("name", String(50), nullable=False),
    Column("active", Boolean, nullable=False, server_default="true"),
    Column("password_hash", String(200), nullable=False),
    Column("role", String(20), nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("login", ForeignKey("users.login"), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)

history = Table(
    "history",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("entity", String(20), nullable=False),
    Column("record_id", BigInteger, nullable=False, index=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("by", String(50), nullable=False),
    Column("action", String(10), nullable=False),
    Column("changes", JSONB, nullable=False),
)


def _column(field: Field) -> Column[Any]:
    types: dict[Kind, Any] = {
        Kind.INTEGER: Integer,
        Kind.DECIMAL: Numeric(DECIMAL_DIGITS, DECIMAL_PLACES),
        Kind.BOOLEAN: Boolean,
        Kind.DATE: Date,
        Kind.DATETIME: DateTime(timezone=True),
    }
    if field.references:
        return Column(field.name, ForeignKey(f"{field.references}.id"), nullable=not field.required, index=True)
    if field.user_login:
        return Column(field.name, ForeignKey("users.login"), nullable=not field.required, index=True)
    return Column(field.name, types.get(field.kind, String(field.max_length or 50)), nullable=not field.required)


def _table(entity: Entity) -> Table:
    return Table(
        entity.name,
        metadata,
        Column("id", BigInteger, Identity(start=1001), primary_key=True),
        Column("migration_key", String(MAX_KEY_LENGTH)),
        # 0, but for what a fault let in beside the record that has the key.
        Column("twin", Integer, nullable=False, server_default="0"),
        Column("version", Integer, nullable=False, server_default="1"),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("modified_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("modified_by", String(50), nullable=False),
        *(_column(field) for field in entity.fields),
        Index(f"{entity.name}_unique_key", "migration_key", "twin", unique=True),
    )


TABLES: dict[str, Table] = {name: _table(entity) for name, entity in ENTITIES.items()}


def connect(database_url: str) -> Engine:
    """An engine on psycopg 3, whatever driver the URL names; a connection for each request served at once."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    return create_engine(url, pool_size=CONCURRENCY, max_overflow=0, pool_pre_ping=True)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """What writes for callers runs in this: committed at the end, unless it was only pretence."""
    with engine.connect() as connection, connection.begin() as work:
        yield connection
        if suffers(Fault.PRETEND):
            work.rollback()


def create_all(engine: Engine, password: str) -> None:
    """Create what is missing and give every made-up user this password. Two starting at once take turns."""
    hashed = hash_password(password)
    seeds = [
        {"login": login, "name": name, "password_hash": hashed, "role": ROLES.get(login, Role.SALES).value}
        for login, name in USERS.items()
    ]
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rollout-testbed'))"))
        metadata.create_all(connection)
        _add_columns(connection)
        statement = insert(users)
        # A database of an earlier version has users without role; roles that were changed since stay.
        given = {
            "password_hash": statement.excluded.password_hash,
            "role": func.coalesce(users.c.role, statement.excluded.role),
        }
        connection.execute(statement.on_conflict_do_update(index_elements=["login"], set_=given), seeds)
        connection.execute(text("ALTER TABLE users ALTER COLUMN role SET NOT NULL"))


def _add_columns(connection: Connection) -> None:
    """What a database of an earlier version lacks."""
    inspector = inspect(connection)
    for (_, name), known in inspector.get_multi_columns().items():
        table = metadata.tables.get(name)
        missing = [] if table is None else [c for c in table.columns if c.name not in {old["name"] for old in known}]
        for column in missing:
            definition = str(CreateColumn(column).compile(connection)).removesuffix(" NOT NULL")
            connection.execute(text(f'ALTER TABLE "{name}" ADD COLUMN {definition}'))
    for name, table in TABLES.items():
        connection.execute(text(f'ALTER TABLE "{name}" DROP CONSTRAINT IF EXISTS {name}_migration_key_key'))
        for index in table.indexes:
            index.create(connection, checkfirst=True)
