"""What the CRM is like tonight: how many records, how well filled, likely duplicates, who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import duckdb
from pydantic import Field

from rollout.connectors.base import Directory
from rollout.errors import RolloutError
from rollout.journal.operations import Operations
from rollout.match.parquet import quoted, scan
from rollout.match.spec import MatchSpec
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec
from rollout.operate.permissions import INACTIVE, PermissionChange, changes
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.verify.observe import observe


class FillRate(Frozen):
    """How many records of an entity have a value in a field."""

    field: str
    required: bool
    filled: int


class EntityQuality(Frozen):
    """The quality of one entity's records, as the CRM holds them."""

    records: int
    fields: tuple[FillRate, ...] = Field(description="Every field of the project, in its order.")
    duplicates: dict[str, int] = Field(
        description="By exact match key of the project: records beyond the first of each group that agrees on it."
    )


class Permissions(Frozen):
    """Who may do what, and what changed since the night before."""

    users: dict[str, str] | None = Field(description="Login → role, or `inactive`; None: the CRM does not tell.")
    changes: tuple[PermissionChange, ...] = ()
    compared_with: str = Field(default="", description="Run of the snapshot before; empty: there is none.")
    detail: str = ""


def observed(context: PhaseContext, entity: str, path: Path) -> None:
    """Read everything the CRM holds of an entity into a Parquet file, which holds personal data: delete it after use.

    Raises:
        Retryable: The CRM cannot be reached.
    """
    _, _, target = context.target("operate")
    observe(target.read_all(entity), list(context.project.spec.entities[entity].fields), path, advance=lambda _: None)


def quality(
    connection: duckdb.DuckDBPyConnection, path: Path, fields: Mapping[str, FieldSpec], match: MatchSpec | None
) -> EntityQuality:
    """Fill rates, and likely duplicates by the project's exact match keys.

    A key that compares a field by a transform is compared by the value itself here: the CRM holds cleansed values.
    """
    counts = ", ".join(["count(*)", *(f"count({quoted(name)})" for name in fields)])
    row = connection.execute(f"SELECT {counts} FROM {scan(path)}").fetchone()  # noqa: S608 - quoted names
    assert row is not None
    return EntityQuality(
        records=row[0],
        fields=tuple(
            FillRate(field=name, required=spec.required, filled=row[place])
            for place, (name, spec) in enumerate(fields.items(), start=1)
        ),
        duplicates={key.name: _duplicates(connection, path, key.fields) for key in (match.keys if match else ())},
    )


def _duplicates(connection: duckdb.DuckDBPyConnection, path: Path, fields: tuple[str, ...]) -> int:
    names = ", ".join(map(quoted, fields))
    whole = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in fields)
    groups = f"SELECT count(*) AS n FROM {scan(path)} WHERE {whole} GROUP BY {names} HAVING count(*) > 1"  # noqa: S608
    row = connection.execute(f"SELECT coalesce(sum(n - 1), 0) FROM ({groups})").fetchone()  # noqa: S608 - quoted names
    assert row is not None
    return int(row[0])


def volumes(context: PhaseContext) -> dict[str, int]:
    """Records by entity of the CRM, the CRM's own ones included.

    Raises:
        Retryable: The CRM cannot be reached.
    """
    _, spec, _ = context.target("operate")
    target = cast("TargetConnector", context.connector(spec.system))  # in its own names: it has entities besides ours
    return {name: target.count(name) for name in sorted(target.describe().entities)}


def permissions(context: PhaseContext, phase: str) -> Permissions:
    """Everybody's standing now, and what changed since the latest run of the phase that could ask."""
    _, spec, _ = context.target("operate")
    connector = context.connector(spec.system)
    if not isinstance(connector, Directory):
        return Permissions(users=None, detail=f"system '{spec.system}' does not tell its users")
    try:
        users = {user.login: user.role if user.is_active else INACTIVE for user in connector.users()}
    except RolloutError as error:
        return Permissions(users=None, detail=str(error))
    with context.journal.transaction() as connection:
        before = Operations(context.journal.project_id).latest_with(connection, phase, ("permissions", "users"))
    if before is None:
        return Permissions(users=users)
    known = before.summary["permissions"]["users"]
    return Permissions(users=users, changes=changes(known, users), compared_with=before.run_id)
