"""Records what a check found wrong as incidents, and tells people: one message a run, never lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from rollout.connectors.base import Message, Messenger
from rollout.errors import ConfigError, RolloutError
from rollout.journal.engine import Connection
from rollout.journal.operations import Operations
from rollout.model.base import Frozen
from rollout.model.masking import mask_text
from rollout.operate.incidents import Due, Incident, Signal, due, observe
from rollout.phases.context import PhaseContext
from rollout.report.alerts import AlertItem, render_alert, render_recovery


class IncidentSummary(Frozen):
    """What a run did to the incidents, and whom it told."""

    opened: tuple[str, ...] = Field(default=(), description="Keys of incidents that began with this run.")
    closed: tuple[str, ...] = Field(default=(), description="Keys of incidents that were over in this run.")
    open: int = Field(default=0, description="Incidents that are open now, of all checks.")
    messages: int = Field(default=0, description="Messages that were sent.")
    not_sent: str = Field(default="", description="Why a message that was due could not be sent; the next run tries.")


def settle(
    context: PhaseContext, family: str, signals: Sequence[Signal], undecided: Collection[str] = ()
) -> IncidentSummary:
    """Record what a run of a family's checks found, then tell people what is due.

    Recording comes first and for itself: whatever becomes of the message, the incident is kept, and stays due.

    Raises:
        Retryable: The journal's database cannot be reached.
    """
    operations, now = Operations(context.journal.project_id), context.clock()
    signals = [Signal(item.key, mask_text(item.message), item.level) for item in signals]
    with context.journal.transaction() as connection:
        operations.lock(connection)
        changes = observe(_read(operations.open_incidents(connection)), family, signals, undecided, now)
        operations.open(connection, [_columns(incident) for incident in changes.opened])
        for incident in changes.seen:
            operations.change(
                connection,
                [incident.seq],
                occurrences=incident.occurrences,
                last_seen_at=incident.last_seen_at,
                message=incident.message,
                level=incident.level,
            )
        if changes.closed:
            operations.change(connection, [incident.seq for incident in changes.closed], closed_at=now)
        still_open = len(operations.open_incidents(connection))
    sent, not_sent = tell(context)
    return IncidentSummary(
        opened=tuple(incident.key for incident in changes.opened),
        closed=tuple(incident.key for incident in changes.closed),
        open=still_open,
        messages=sent,
        not_sent=not_sent,
    )


def tell(context: PhaseContext) -> tuple[int, str]:
    """Send what is due; answers the messages sent, and why one could not be ("" if all were).

    A message whose fate is unknown counts as not sent: told twice is better than never.
    """
    system = context.project.spec.operations.alerts
    operations, now = Operations(context.journal.project_id), context.clock()
    remind_after = timedelta(hours=context.project.spec.operations.remind_after_h)
    with context.journal.transaction() as connection:
        operations.lock(connection)
        told = due(_read(operations.untold_incidents(connection)), now, remind_after)
        if not told:
            return 0, ""
        if system is None:
            return 0, "no system is named under operations.alerts"
        return _send_all(context, connection, operations, told, system)


def _send_all(
    context: PhaseContext, connection: Connection, operations: Operations, told: Due, system: str
) -> tuple[int, str]:
    now, project = context.clock(), context.project.spec.project
    alarming = [_item(incident, now) for incident in told.new]
    alarming += [_item(incident, now, is_reminder=True) for incident in told.reminders]
    recovered = [_item(incident, now) for incident in told.recovered]
    letters: list[tuple[list[AlertItem], Callable[..., tuple[str, str]], list[int | None], str]] = [
        (alarming, render_alert, [incident.seq for incident in told.new + told.reminders], "notified_at"),
        (recovered, render_recovery, [incident.seq for incident in told.recovered], "recovery_notified_at"),
    ]
    sent = 0
    try:
        messenger = context.connector(system)
        if not isinstance(messenger, Messenger):
            raise ConfigError(f"system '{system}' sends no messages", hint="name a messenger under operations.alerts")
        for items, render, seqs, column in letters:
            if items:
                title, text = render(items, project.name, project.languages[0])
                messenger.send(Message(title, text))
                operations.change(connection, seqs, **{column: now})
                sent += 1
    except RolloutError as error:
        return sent, f"{type(error).__name__}: {error}"
    return sent, ""


def _item(incident: Incident, now: datetime, *, is_reminder: bool = False) -> AlertItem:
    return AlertItem(
        key=incident.key,
        message=incident.message,
        lasted=(incident.closed_at or now) - incident.opened_at,
        occurrences=incident.occurrences,
        is_reminder=is_reminder,
        was_told=incident.notified_at is not None,
    )


def _read(rows: Sequence[Mapping[str, Any]]) -> list[Incident]:
    return [Incident(**row) for row in rows]


def _columns(incident: Incident) -> dict[str, Any]:
    return {name: getattr(incident, name) for name in Incident.__slots__}
