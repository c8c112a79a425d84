"""A target's own rules: what there is, switched off for a load by name, and on again by a checked list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from rollout.connectors.base import Automation
from rollout.connectors.base import AutomationRule as Rule
from rollout.errors import ConfigError, UnsupportedOperation
from rollout.journal import people
from rollout.journal.automation import SwitchedOff, note, switched_off
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext


class RuleStatus(Frozen):
    """One rule of the target, as it is now."""

    name: str
    label: str
    kind: str = Field(description="linkage | assignment | recycling | sla | notification.")
    is_on: bool
    settings: dict[str, str]
    off_by: str | None = Field(description="Who switched it off for the rollout; it must go on again. None: nobody.")
    off_at: datetime | None
    off_reason: str | None


class AutomationSummary(Frozen):
    """The target's rules, and what is left of the checked list."""

    target: str
    rules: tuple[RuleStatus, ...]
    switched: tuple[str, ...] = Field(description="Rules that this call switched.")
    still_off: tuple[str, ...] = Field(description="The checked list: switched off for the rollout, and not on again.")
    never_touched: tuple[str, ...] = Field(description="Off, and not by us: left as they are.")


def automation_status(context: PhaseContext) -> AutomationSummary:
    """The rules as they are now, beside the checked list.

    Raises:
        UnsupportedOperation: The target does not tell its rules.
        Retryable: The target or the database cannot be reached.
    """
    target_name, automation = _automation(context)
    return _summary(context, target_name, automation, ())


def switch_off(
    context: PhaseContext, *, person: str, code: str, reason: str, rules: Sequence[str] = ()
) -> AutomationSummary:
    """Switch off the rules named, or all that are on, and note each one on the checked list before.

    Raises:
        ApprovalError: Wrong code, or no reason.
        ConfigError: There is no such rule.
        UnsupportedOperation: The target does not tell its rules.
        Fatal: The target does not let us switch them.
        Retryable: The target or the database cannot be reached; what was switched is on the list.
    """
    people.sign(context.journal, person, code, reason)
    target_name, automation = _automation(context)
    present = {rule.name: rule for rule in automation.automation_rules()}
    _refuse_unknown(rules, present)
    chosen = [rule.name for rule in present.values() if rule.is_on and (not rules or rule.name in rules)]
    for name in chosen:
        with context.journal.transaction() as connection:
            note(connection, context.journal.project_id, target_name, name, on=False, person=person, reason=reason)
        automation.switch_rule(name, on=False)
    return _summary(context, target_name, automation, chosen)


def switch_on(
    context: PhaseContext, *, person: str, code: str, reason: str, rules: Sequence[str] = ()
) -> AutomationSummary:
    """Switch on again what the checked list has, or the rules of it that are named. Rules we never switched stay off.

    Raises:
        ApprovalError: Wrong code, or no reason.
        ConfigError: A rule that was named is not on the list.
        UnsupportedOperation: The target does not tell its rules.
        Fatal: The target does not let us switch them.
        Retryable: The target or the database cannot be reached; run it again for the rest.
    """
    people.sign(context.journal, person, code, reason)
    target_name, automation = _automation(context)
    listed = [line.rule for line in _checked_list(context, target_name)]
    _refuse_unknown(rules, listed)
    present = {rule.name for rule in automation.automation_rules()}  # one that is gone stays on the list, to be seen
    chosen = [name for name in listed if name in present and (not rules or name in rules)]
    for name in chosen:
        # The other way about than switching off: the list forgets a rule only once it is on.
        automation.switch_rule(name, on=True)
        with context.journal.transaction() as connection:
            note(connection, context.journal.project_id, target_name, name, on=True, person=person, reason=reason)
    return _summary(context, target_name, automation, chosen)


def still_off(context: PhaseContext, target_name: str) -> tuple[str, ...]:
    """Rules on the checked list, from the journal alone."""
    return tuple(line.rule for line in _checked_list(context, target_name))


def _automation(context: PhaseContext) -> tuple[str, Automation]:
    target_name, spec, _ = context.target("load")
    connector = context.connector(spec.system)
    if not isinstance(connector, Automation):
        raise UnsupportedOperation(
            f"system '{spec.system}' does not tell its rules",
            hint="switch workflows, assignment, recycling and notifications by hand, and keep a list",
        )
    return target_name, connector


def _checked_list(context: PhaseContext, target_name: str) -> list[SwitchedOff]:
    with context.journal.transaction() as connection:
        return switched_off(connection, context.journal.project_id, target_name)


def _refuse_unknown(names: Sequence[str], known: Sequence[str] | dict[str, Rule]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(f"unknown rule: {', '.join(unknown)}", hint=f"known: {', '.join(known) or 'none'}")


def _summary(
    context: PhaseContext, target_name: str, automation: Automation, switched: Sequence[str]
) -> AutomationSummary:
    listed = {line.rule: line for line in _checked_list(context, target_name)}
    rules = automation.automation_rules()

    def told(rule: Rule) -> RuleStatus:
        line = listed.get(rule.name)
        return RuleStatus(
            name=rule.name,
            label=rule.label,
            kind=rule.kind,
            is_on=rule.is_on,
            settings=dict(rule.settings),
            off_by=line.person if line else None,
            off_at=line.at if line else None,
            off_reason=line.reason if line else None,
        )

    return AutomationSummary(
        target=target_name,
        rules=tuple(map(told, rules)),
        switched=tuple(switched),
        still_off=tuple(listed),
        never_touched=tuple(rule.name for rule in rules if not rule.is_on and rule.name not in listed),
    )
