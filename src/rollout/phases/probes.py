"""The probes of the health check. Each measures one thing, and answers also when it cannot."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from pydantic import Field

from rollout.connectors.base import ChangeFeed, Op, Remover, WriteRow
from rollout.errors import RolloutError, UnsupportedOperation
from rollout.journal.carried import Carried
from rollout.journal.operations import Operations
from rollout.model.base import Frozen
from rollout.model.entity import Values
from rollout.model.finding import has_errors
from rollout.model.masking import mask_text
from rollout.model.target import RowStatus
from rollout.operate import synthetic
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.project.spec_around import SyncSpec


class Probe(Frozen):
    """What one probe found."""

    name: str = Field(description="Such as `login`; of a sync `sync_lag:orders`.")
    ok: bool
    latency_s: float | None = Field(default=None, description="How long it took; None: it could not be measured.")
    value: float | None = Field(default=None, description="What it measured, in the unit that `detail` tells.")
    detail: str


@dataclass(frozen=True)
class Answer:
    """What a probe's own function answers; its time is taken outside unless it takes it itself."""

    ok: bool
    detail: str
    value: float | None = None
    latency_s: float | None = None


def probes(context: PhaseContext, *, sleep: Callable[[float], None]) -> Iterator[Probe]:
    """All probes of the project, each measured when it is asked for."""
    yield measured("database", partial(_database, context))
    yield measured("login", partial(_login, context))
    yield measured("transaction", partial(_transaction, context, sleep))
    yield measured("disk", partial(_disk, context))
    for name, sync in _syncs(context).items():
        yield measured(f"feed:{name}", partial(_feed, context, name, sync))
        yield measured(f"sync_lag:{name}", partial(_sync_lag, context, name, sync))
        yield measured(f"dead_letters:{name}", partial(_dead_letters, context, name))


def not_configured(context: PhaseContext) -> tuple[str, ...]:
    """Probes that this project has nothing for."""
    return () if _syncs(context) else ("feed", "sync_lag", "dead_letters")


def measured(name: str, ask: Callable[[], Answer]) -> Probe:
    """Ask, and take the time; an error that is written for people makes the probe fail with its words."""
    begun_s = time.perf_counter()
    try:
        answer = ask()
    except RolloutError as error:
        return Probe(name=name, ok=False, detail=mask_text(f"{type(error).__name__}: {error}"))
    took_s = time.perf_counter() - begun_s if answer.latency_s is None else answer.latency_s
    return Probe(
        name=name, ok=answer.ok, latency_s=round(took_s, 6), value=answer.value, detail=mask_text(answer.detail)
    )


def _syncs(context: PhaseContext) -> dict[str, SyncSpec]:
    integration = context.project.spec.integration
    return integration.syncs if integration else {}


def _database(context: PhaseContext) -> Answer:
    with context.journal.transaction() as connection:
        size = Operations(context.journal.project_id).size_bytes(connection)
    return Answer(ok=True, detail=f"the journal's database holds {size / 1e6:,.1f} MB", value=float(size))


def _login(context: PhaseContext) -> Answer:
    _, spec, _ = context.target("operate")
    findings = context.connector(spec.system).check()
    if has_errors(findings):
        return Answer(ok=False, detail="; ".join(finding.message for finding in findings))
    return Answer(ok=True, detail=f"'{spec.system}' takes the login and answers")


def _transaction(context: PhaseContext, sleep: Callable[[float], None]) -> Answer:
    """Create a record, read it back, delete it, see it gone; what earlier checks left behind goes first."""
    target = _removable(context)
    entities = context.project.spec.entities
    schema = target.describe()
    entity = synthetic.choose_entity(schema, [entities[n].target_name or n for n in context.project.spec.load_order])
    left = _remove_left_behind(context, target, entity)
    unique = uuid.uuid4().hex[:12]
    key, values = synthetic.new_key(context.clock(), unique), synthetic.values(schema.entities[entity], unique)
    begun_s = time.perf_counter()
    result = target.write(entity, [WriteRow(key, Op.CREATE, values)])[0]
    if result.status is not RowStatus.CREATED or result.target_id is None:
        return Answer(ok=False, detail=f"a new {entity} was {result.status}: {result.reason_code} {result.message}")
    try:
        problem = _wrong_record(target, entity, key, values, sleep)
    finally:
        target.delete(entity, [result.target_id])
    took_s = time.perf_counter() - begun_s
    if not problem and target.read_by_keys(entity, [key]).get(key):
        problem = f"the {entity} is still there after it was deleted"
    limit_s = context.project.spec.operations.slow_after_s
    if not problem and took_s > limit_s:
        problem = f"took {took_s:.2f} s, {limit_s:g} s are allowed"
    detail = problem or f"created, read back and deleted an {entity}"
    if left:
        detail += f"; removed {left} that earlier checks left behind"
    return Answer(ok=not problem, detail=detail, value=float(left), latency_s=took_s)


class _RemovableTarget(TargetConnector, Remover, Protocol):
    """A target that records can be taken out of again."""


def _removable(context: PhaseContext) -> _RemovableTarget:
    _, spec, _ = context.target("operate")
    connector = context.connector(spec.system)
    if not isinstance(connector, Remover):
        raise UnsupportedOperation(
            f"system '{spec.system}' cannot delete what a check creates", hint="use a connector that can"
        )
    return cast("_RemovableTarget", connector)


def _remove_left_behind(context: PhaseContext, target: _RemovableTarget, entity: str) -> int:
    now = context.clock()
    left = [
        record.target_id
        for record in target.read_by_key_prefix(entity, synthetic.KEY_PREFIX)
        if synthetic.is_left_behind(record.migration_key or "", now)
    ]
    if left:
        target.delete(entity, left)
    return len(left)


def _wrong_record(
    target: _RemovableTarget, entity: str, key: str, values: Values, sleep: Callable[[float], None]
) -> str:
    """What is wrong with the record as it is read back; "" if nothing is."""
    found = target.read_by_keys(entity, [key]).get(key, ())
    if not found and target.capabilities.read_your_writes_delay_s:
        sleep(target.capabilities.read_your_writes_delay_s)
        found = target.read_by_keys(entity, [key]).get(key, ())
    if len(found) != 1:
        return f"{len(found)} records found under the key of the {entity} just created"
    wrong = sorted(name for name, value in values.items() if found[0].values.get(name) != value)
    return f"read back otherwise than written: {', '.join(wrong)}" if wrong else ""


def _disk(context: PhaseContext) -> Answer:
    try:
        usage = shutil.disk_usage(context.project.workspace.root)
    except OSError as error:
        return Answer(ok=False, detail=f"the workspace's disk cannot be asked: {error.strerror}")
    share, limit = usage.free / usage.total, context.project.spec.operations.disk_free_share
    detail = f"{share:.1%} of the workspace's disk is free ({usage.free / 1e9:,.1f} GB); {limit:.0%} are asked for"
    return Answer(ok=share >= limit, detail=detail, value=share)


def _feed(context: PhaseContext, name: str, sync: SyncSpec) -> Answer:
    """Whether the system that a sync reads still tells what changed."""
    feed = context.connector(sync.system)
    if not isinstance(feed, ChangeFeed):
        raise UnsupportedOperation(f"system '{sync.system}' tells no changes")
    with context.journal.transaction() as connection:
        state = _carried(context).sync_state(connection, name)
    page = feed.changes(sync.stream, state.cursor, overlap_s=0, limit=1)
    return Answer(ok=True, detail=f"'{sync.system}' tells of {sync.stream}", value=float(len(page.records)))


def _sync_lag(context: PhaseContext, name: str, sync: SyncSpec) -> Answer:
    """Seconds since the sync last got through to the end of its feed."""
    with context.journal.transaction() as connection:
        advanced_at = _carried(context).sync_state(connection, name).advanced_at
    if advanced_at is None:
        return Answer(ok=False, detail=f"the sync '{name}' has not got through yet")
    lag_s = max(0.0, (context.clock() - advanced_at).total_seconds())
    detail = f"the sync '{name}' last got through {lag_s / 60:,.0f} min ago; {sync.late_after_s / 60:,.0f} are allowed"
    return Answer(ok=lag_s <= sync.late_after_s, detail=detail, value=lag_s)


def _dead_letters(context: PhaseContext, name: str) -> Answer:
    with context.journal.transaction() as connection:
        reasons = _carried(context).count_open_letters(connection, name)
    count = sum(reasons.values())
    told = ", ".join(f"{number} × {reason}" for reason, number in reasons.items())
    detail = f"{count} records of '{name}' could not be carried: {told}" if count else f"'{name}' has no dead letters"
    return Answer(ok=not count, detail=detail, value=float(count))


def _carried(context: PhaseContext) -> Carried:
    name, _, _ = context.target("operate")
    return Carried(context.journal.project_id, name)
