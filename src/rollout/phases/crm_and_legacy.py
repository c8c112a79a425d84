"""The nightly comparison of the CRM with what was loaded into it, and of the legacy sources with what they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from pydantic import Field

from rollout.connectors.base import Directory
from rollout.errors import RolloutError
from rollout.journal.carried import Carried
from rollout.journal.operations import Operations
from rollout.journal.plans import Plans
from rollout.load.merge_base import Base, Fingerprint, stored_mark
from rollout.load.work import record_fingerprint
from rollout.match.parquet import quoted, scan
from rollout.model.base import Frozen
from rollout.operate.kinds import Because, Kind
from rollout.phases.context import PhaseContext
from rollout.phases.crm_and_source import Difference, SourceCheck, reasons
from rollout.phases.raw import read_source

_ROWS = 5_000
_OURS = ("_key", "_source_key", "_source", "_file", "_sheet", "_line")


class LegacyChanges(Frozen):
    """What became of one legacy source since the data that was loaded was read from it. Nothing is judged by it."""

    source: str
    comparable: bool
    new: int = Field(default=0, description="Rows that were not there.")
    changed: int = 0
    gone: int = 0
    detail: str = ""


def check_loaded(context: PhaseContext, entity: str, observed: Path) -> tuple[SourceCheck, list[Difference]]:
    """What the CRM now makes of the records of an entity that were loaded: kept, edited by people, changed, gone.

    A second record under the key of one that was loaded is extra; one record that is told twice is not.
    """
    target_name, spec, _ = context.target("operate")
    connector = context.connector(spec.system)
    own_login = connector.own_login if isinstance(connector, Directory) else None
    sealer, source = context.journal.ledger_sealer(), f"legacy:{entity}"
    journal = Carried(context.journal.project_id, target_name)
    kinds = dict.fromkeys(Kind, 0)
    differences: list[Difference] = []
    with context.journal.transaction() as transaction:
        missing = set(journal.loaded_keys(transaction, entity))
        seen: dict[str, str] = {}
        for rows in _observed(observed):
            keys = [row["_migration_key"] for row in rows if row["_migration_key"] in missing]
            bases = journal.bases(transaction, entity, keys)
            for row in rows:
                key, who = row["_migration_key"], row["_modified_by"]
                if seen.get(key, row["_target_id"]) != row["_target_id"]:
                    kinds[Kind.EXTRA] += 1
                    differences.append(_twice(source, key, who))
                if key not in bases or key not in missing:
                    continue
                missing.discard(key)
                seen[key] = row["_target_id"]
                changed = _changed(row, bases[key], record_fingerprint(sealer, entity, key))
                if not changed:
                    kinds[Kind.OK] += 1
                    continue
                by_person = own_login is None or who != own_login
                kind = Kind.EDITED if by_person else Kind.DIFFERENT
                because = Because.CHANGED_BY_PERSON if by_person else Because.CHANGED_IN_CRM
                kinds[kind] += 1
                differences.append(
                    Difference(
                        source=source,
                        key=key,
                        kind=kind,
                        reason=because,
                        fields=",".join(changed),
                        modified_by=who or "",
                    )
                )
    kinds[Kind.MISSING] = len(missing)
    differences += [
        Difference(source=source, key=key, kind=Kind.MISSING, reason=Because.DELETED_IN_CRM) for key in sorted(missing)
    ]
    return SourceCheck(
        source=source, compared=sum(kinds.values()), kinds=kinds, reasons=reasons(differences)
    ), differences


def _twice(source: str, key: str, who: str | None) -> Difference:
    return Difference(source=source, key=key, kind=Kind.EXTRA, reason=Because.KEY_TWICE, modified_by=who or "")


def _observed(path: Path) -> Iterator[list[dict[str, Any]]]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=_ROWS):
        yield batch.to_pylist()


def _changed(row: Mapping[str, Any], base: Base, fingerprint: Fingerprint) -> list[str]:
    """Fields that no longer hold what the target stored when we wrote them."""
    return sorted(
        name for name, entry in base.items() if name in row and fingerprint(name, row[name]) != stored_mark(entry)
    )


def legacy_changes(
    context: PhaseContext, connection: duckdb.DuckDBPyConnection
) -> tuple[tuple[LegacyChanges, ...], list[Difference]]:
    """How the legacy sources differ now from the rows that the latest load was made of.

    A source that cannot be read any more, or whose rows of then are gone, is told as such.
    """
    baseline = _baseline(context)
    found: list[LegacyChanges] = []
    differences: list[Difference] = []
    for entity, spec in context.project.spec.entities.items():
        for source in spec.sources:
            if baseline is None:
                detail = "the cleansing that was loaded is not in the journal"
                found.append(LegacyChanges(source=source.name, comparable=False, detail=detail))
                continue
            files = baseline["entities"][entity]["raw_files"]
            try:
                now = read_source(context, entity, source).file
                change, rows = _compare(context, connection, source.name, files, now)
            except RolloutError as error:
                change, rows = LegacyChanges(source=source.name, comparable=False, detail=str(error)), []
            found.append(change)
            differences += rows
    return tuple(found), differences


def _baseline(context: PhaseContext) -> Mapping[str, Any] | None:
    """The summary of the cleansing that the plan begun last rests on."""
    target_name, _, _ = context.target("operate")
    project_id = context.journal.project_id
    with context.journal.transaction() as transaction:
        plan = Plans(project_id).latest_begun(transaction, target_name)
        runs = Operations(project_id).runs(
            transaction, "cleanse", datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        )
    if plan is None:
        return None
    for run in reversed(runs):
        if run.state == "completed" and run.summary.get("inputs", {}).get("sources") == plan.inputs["sources"]:
            return run.summary
    return None


def _compare(
    context: PhaseContext, connection: duckdb.DuckDBPyConnection, source: str, files: Sequence[str], now: str
) -> tuple[LegacyChanges, list[Difference]]:
    stages = context.project.workspace.stages
    if now in files:
        return LegacyChanges(source=source, comparable=True, detail="the same files as then"), []
    then = next((file for file in files if Path(file).name.startswith(f"raw_{source}-")), None)
    if then is None or not (stages / then).exists():
        return LegacyChanges(source=source, comparable=False, detail="the rows of then are no longer kept"), []
    columns = [set(pq.read_schema(stages / file).names) for file in (then, now)]
    shared = sorted((columns[0] & columns[1]) - set(_OURS))
    differing = " OR ".join(f"a.{quoted(name)} IS DISTINCT FROM b.{quoted(name)}" for name in shared) or "false"
    rows = connection.execute(
        f"""
        SELECT coalesce(a._source_key, b._source_key),
            CASE WHEN a._source_key IS NULL THEN 'new' WHEN b._source_key IS NULL THEN 'gone' ELSE 'changed' END
        FROM {scan(stages / then)} a FULL JOIN {scan(stages / now)} b ON a._source_key = b._source_key
        WHERE a._source_key IS NULL OR b._source_key IS NULL OR {differing}
        ORDER BY 2, 1
        """  # noqa: S608 - quoted names, our own files
    ).fetchall()
    counted = {kind: sum(row[1] == kind for row in rows) for kind in ("new", "changed", "gone")}
    other = sorted(columns[0] ^ columns[1])
    detail = f"columns that only one of them has: {', '.join(other)}" if other else ""
    return (
        LegacyChanges(source=source, comparable=True, detail=detail, **counted),
        [Difference(source=f"legacy:{source}", key=key, kind=f"source_{kind}", reason="") for key, kind in rows],
    )
