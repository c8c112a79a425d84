"""Scenarios of the syncs: what is entered in another system arrives in the CRM, whole and once."""

from __future__ import annotations

from rollout.connectors.base import ChangedRecord, TargetRecord
from rollout.integrate.stage import FailedError, Outcome, Stage
from rollout.integrate.sync import SyncFigures
from rollout.project.spec_around import SyncSpec

ORDERS, MESSAGES = "orders", "messages"
_ORDER, _MESSAGE = 1, 2
MUST_ARRIVE = {ORDERS: ("amount", "product"), MESSAGES: ("text",)}
"""Fields of the CRM without which a record has not arrived, whatever the project's sync carries; named alike there."""


def order_arrives(stage: Stage) -> Outcome:
    """An order entered in the ERP is in the CRM with its amount, product and customer after the next sync."""
    name, spec, feed = stage.sync_of(ORDERS)
    begun_s = stage.monotonic_s()
    (sent,) = stage.enter(name, feed, [_ORDER])
    record = _the_one(stage, spec, sent.source_id, stage.run_sync(name))
    compare(spec, sent, record)
    assert stage.customer is not None or not spec.references
    for reference in spec.references:
        _same(spec, reference, record, stage.customer[1] if stage.customer else None)
    return "order_arrived", {
        "order": sent.source_id,
        "amount": record.values["amount"] or "",
        "product": record.values["product"] or "",
        "waited_s": round(stage.monotonic_s() - begun_s, 1),
    }


def message_once(stage: Stage) -> Outcome:
    """A customer's message is in the CRM once, also when it is delivered and read a second time."""
    name, spec, feed = stage.sync_of(MESSAGES)
    before = stage.cursor(name)
    (sent,) = stage.enter(name, feed, [_MESSAGE])
    _the_one(stage, spec, sent.source_id, stage.run_sync(name))
    stage.enter(name, feed, [_MESSAGE])
    stage.rewind(name, before)
    record = _the_one(stage, spec, sent.source_id, stage.run_sync(name))
    compare(spec, sent, record)
    return "message_once", {"message": sent.source_id, "deliveries": 2}


def compare(spec: SyncSpec, sent: ChangedRecord, record: TargetRecord) -> None:
    """Raise `FailedError` unless every field that is carried, and every one that must be, holds what was sent."""
    told = {**spec.fields, **{name: name for name in MUST_ARRIVE.get(spec.stream, ())}}
    for target, source in told.items():
        _same(spec, target, record, sent.values.get(source))


def _same(spec: SyncSpec, target: str, record: TargetRecord, wanted: str | None) -> None:
    found = record.values.get(target)
    if found != wanted:
        raise FailedError("wrong_value", field=f"{spec.entity}.{target}", found=found or "–", wanted=wanted or "–")


def _the_one(stage: Stage, spec: SyncSpec, source_id: str, figures: SyncFigures) -> TargetRecord:
    found = stage.held(spec, source_id)
    if not found:
        raise FailedError("not_arrived", entity=spec.entity, dead=figures.dead, message=figures.stopped or "–")
    if len(found) > 1:
        raise FailedError("wrong_count", entity=spec.entity, found=len(found), wanted=1)
    return found[0]
