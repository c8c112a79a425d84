"""Scenarios of the CRM's own linkage rules. Entities and fields are those of the method: lead, ticket and so on."""

from __future__ import annotations

from rollout.connectors.base import TargetRecord
from rollout.integrate.stage import COMPANY, LEAD, FailedError, NotJudgedError, Outcome, Stage

AMOUNT = "88000"


def lead_won(stage: Stage) -> Outcome:
    """A lead set to 已成交 becomes a customer and a won opportunity over its amount, each linked to the other."""
    company = f"{stage.tag} {COMPANY}"
    lead = stage.create(
        "lead",
        "lead",
        {
            "name": f"{stage.tag} {LEAD}",
            "company": company,
            "region": _first_choice(stage, "lead", "region"),
            "status": "跟进中",
            "owner": stage.salesperson,
            "expected_amount": AMOUNT,
        },
    )
    stage.change(lead, {"status": "已成交"})

    def linked() -> bool:
        values = stage.again(lead).values
        return bool(values.get("account") and values.get("opportunity"))

    waited_s = stage.wait_until(linked)
    if waited_s is None:
        raise FailedError("lead_silent", waited_s=stage.settle_s)
    won = stage.again(lead).values
    account = _only(stage, "account", "name", company, won["account"])
    opportunity = _only(stage, "opportunity", "lead", lead.target_id, won["opportunity"])
    _compare(opportunity, {"account": account.target_id, "amount": AMOUNT, "stage": "赢单"})
    return "lead_linked", {
        "account": account.target_id,
        "opportunity": opportunity.target_id,
        "amount": AMOUNT,
        "waited_s": waited_s,
    }


def complaint_escalated(stage: Stage) -> Outcome:
    """A complaint marked 需销售介入 gives the customer's salesperson one todo and one notification."""
    account = stage.create(
        "account",
        "account",
        {
            "name": f"{stage.tag} 投诉客户",
            "region": _first_choice(stage, "account", "region"),
            "owner": stage.salesperson,
            "legacy_no": stage.tag,
        },
    )
    ticket = stage.create(
        "ticket",
        "ticket",
        {
            "subject": f"{stage.tag} 投诉",
            "account": account.target_id,
            "kind": "投诉",
            "status": "新建",
            "needs_sales": "false",
        },
    )
    if _of_ticket(stage, "todo", ticket) or _of_ticket(stage, "notification", ticket):
        raise FailedError("complaint_early")
    stage.change(ticket, {"needs_sales": "true"})
    waited_s = stage.wait_until(
        lambda: bool(_of_ticket(stage, "todo", ticket) and _of_ticket(stage, "notification", ticket))
    )
    if waited_s is None:
        raise FailedError("complaint_silent", waited_s=stage.settle_s)
    stage.change(ticket, {"status": "处理中"})  # what is written later must tell nobody a second time
    for entity, receiver in (("todo", "owner"), ("notification", "recipient")):
        found = _of_ticket(stage, entity, ticket)
        if len(found) != 1:
            raise FailedError("wrong_count", entity=entity, found=len(found), wanted=1)
        _compare(found[0], {receiver: stage.salesperson})
    return "complaint_told", {"salesperson": stage.salesperson, "waited_s": waited_s}


def _of_ticket(stage: Stage, entity: str, ticket: TargetRecord) -> list[TargetRecord]:
    return stage.find(entity, lambda record: record.values.get("ticket") == ticket.target_id)


def _only(stage: Stage, entity: str, name: str, value: str, linked_id: str | None) -> TargetRecord:
    """The one record with this value, which must be the one that is linked."""
    found = stage.find(entity, lambda record: record.values.get(name) == value)
    if len(found) != 1:
        raise FailedError("wrong_count", entity=entity, found=len(found), wanted=1)
    if found[0].target_id != linked_id:
        raise FailedError("wrong_value", field=f"lead.{entity}", found=linked_id or "–", wanted=found[0].target_id)
    return found[0]


def _compare(record: TargetRecord, wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        if record.values.get(name) != value:
            found = record.values.get(name) or "–"
            raise FailedError("wrong_value", field=f"{record.entity}.{name}", found=found, wanted=value)


def _first_choice(stage: Stage, entity: str, name: str) -> str:
    described = stage.crm.describe().entities.get(entity, {})
    if name not in described or not described[name].picklist:
        raise NotJudgedError("no_entity", entity=f"{entity}.{name}")
    return described[name].picklist[0]
