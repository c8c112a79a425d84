"""`sync`: carries what changed in the systems around the CRM into it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from pydantic import Field

from rollout.connectors.base import ChangeFeed
from rollout.errors import ConfigError
from rollout.integrate.sync import Feed, Sync, SyncFigures, SyncScope
from rollout.integrate.upsert import CrmTarget
from rollout.journal.carried import Carried
from rollout.journal.leases import Lease, hold
from rollout.journal.syncs import Syncs
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.project.spec import PhaseName
from rollout.project.spec_around import IntegrationSection, SyncSpec


class SyncSummary(Frozen):
    """The answer of `sync run`."""

    run_id: str
    target: str
    complete: bool = Field(description="Every sync got to the end of its feed.")
    syncs: dict[str, SyncFigures]
    seconds: float


class SyncStatus(Frozen):
    """Where one sync stands."""

    cursor: str | None
    advanced_at: str | None = Field(description="When it last got to the end of its feed; None: never.")
    dead_letters: dict[str, int] = Field(description="Open dead letters by reason code.")


class LetterLine(Frozen):
    """An open dead letter, without what it holds."""

    sync: str
    source_id: str
    reason_code: str
    message: str
    attempts: int
    changed_at: str


def run_sync(
    context: PhaseContext, names: Sequence[str] | None = None, *, sleep: Callable[[float], None] = time.sleep
) -> SyncSummary:
    """Run syncs one after the other. A system that does not answer stops its sync; the others go on.

    Args:
        context: The phase's context.
        names: Only these; default: all.
        sleep: Waits, seconds.

    Raises:
        ConfigError: There is no sync of this name, or its fields fit neither feed nor CRM.
        LeaseHeld: Another process is at it.
    """
    begun_s = time.perf_counter()
    integration = section(context)
    chosen = _chosen(integration, names)
    target_name, target = crm(context)
    with context.journal.running("sync") as run, syncing(context, target_name, target) as lease:
        done = {}
        for name in chosen:
            scope = sync_scope(context, name, target_name=target_name, target=target, lease=lease, sleep=sleep)
            done[name] = Sync(scope).run()
        summary = SyncSummary(
            run_id=run.run_id,
            target=target_name,
            complete=all(figures.stopped is None for figures in done.values()),
            syncs=done,
            seconds=round(time.perf_counter() - begun_s, 3),
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def sync_status(context: PhaseContext) -> dict[str, SyncStatus]:
    """Where each sync of the project stands, from the journal alone."""
    target_name, _ = crm(context)
    carried = Carried(context.journal.project_id, target_name)
    found = {}
    with context.journal.transaction() as connection:
        for name in section(context).syncs:
            state = carried.sync_state(connection, name)
            found[name] = SyncStatus(
                cursor=state.cursor,
                advanced_at=state.advanced_at.isoformat() if state.advanced_at else None,
                dead_letters=carried.count_open_letters(connection, name),
            )
    return found


def dead_letters(context: PhaseContext) -> list[LetterLine]:
    """What could not be carried so far; the records themselves stay sealed."""
    target_name, _ = crm(context)
    syncs = Syncs(context.journal.project_id, target_name)
    with context.journal.transaction() as connection:
        return [
            LetterLine(
                sync=name,
                source_id=letter.source_id,
                reason_code=letter.reason_code,
                message=letter.message,
                attempts=letter.attempts,
                changed_at=letter.changed_at.isoformat(),
            )
            for name in section(context).syncs
            for letter in syncs.open_letters(connection, name)
        ]


def section(context: PhaseContext) -> IntegrationSection:
    """The project's section `integration`. Raises ConfigError saying what to write."""
    integration = context.project.spec.integration
    if integration is None:
        raise ConfigError(
            "the project says nothing about integration",
            where=str(context.project.path),
            hint="add `integration:` with `syncs:` (system, stream, entity, key_prefix, fields) and `salesperson:`",
        )
    return integration


def crm(context: PhaseContext, phase: PhaseName | None = None) -> tuple[str, CrmTarget]:
    """Name and connector of the target that is synced, spoken to in its own names.

    Without ``phase`` it is the one that `operate` names, or `integrate` where none does.
    """
    if phase is None:
        named = {phase for spec in context.project.spec.targets.values() for phase in spec.phases}
        phase = "operate" if "operate" in named else "integrate"
    name, spec, _ = context.target(phase)  # checks that it can be read and written
    return name, cast("CrmTarget", context.connector(spec.system))


@contextmanager
def syncing(context: PhaseContext, target_name: str, target: CrmTarget) -> Iterator[Lease]:
    """The lease under which a target is synced, one at a time."""
    with hold(context.journal, f"sync {target_name}", longest_call_s=target.capabilities.call_timeout_s) as lease:
        yield lease


def sync_scope(
    context: PhaseContext,
    name: str,
    *,
    target_name: str,
    target: CrmTarget,
    lease: Lease,
    sleep: Callable[[float], None],
    feed: Feed | None = None,
) -> SyncScope:
    """What a sync works with; ``feed`` takes the place of the system's own connector.

    Raises:
        ConfigError: The system tells no changes.
    """
    spec: SyncSpec = section(context).syncs[name]
    found = feed or context.connector(spec.system)
    if not isinstance(found, ChangeFeed):
        raise ConfigError(
            f"system '{spec.system}' tells no changes",
            where=f"integration.syncs.{name}",
            hint="name a system with a connector that does, such as erp_testbed or messaging_wecom",
        )
    entity = context.project.spec.entities.get(spec.references_entity)
    return SyncScope(
        name=name,
        spec=spec,
        feed=cast("Feed", found),
        target_name=target_name,
        target=target,
        journal=context.journal,
        lease=lease,
        row_sources=tuple(source.name for source in entity.sources) if entity else (),
        clock=context.clock,
        sleep=sleep,
    )


def _chosen(integration: IntegrationSection, names: Sequence[str] | None) -> Sequence[str]:
    known = ", ".join(integration.syncs) or "none is declared"
    if unknown := [name for name in names or () if name not in integration.syncs]:
        raise ConfigError(f"there is no sync '{unknown[0]}'", where="integration.syncs", hint=f"there is: {known}")
    if not integration.syncs:
        raise ConfigError("no sync is declared", where="integration.syncs", hint="name system, stream, entity, fields")
    return list(dict.fromkeys(names)) if names else list(integration.syncs)
