"""A CRM in memory that has rules of its own, as the protocol `Automation` tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rollout.connectors.base import AutomationRule, RowResult, WriteRow
from rollout.connectors.memory import MemoryConnector
from rollout.errors import Fatal, Retryable
from rollout.model.target import RowStatus

RULES = (
    AutomationRule(
        "pool",
        "公海回收",
        "recycling",
        is_on=True,
        settings={"entity": "account", "clock_field": "seen", "holding_days": "30"},
    ),
    AutomationRule("assign", "自动分配", "assignment", is_on=True, settings={}),
    AutomationRule("notify", "新客户通知", "notification", is_on=True, settings={}),
    AutomationRule("clock", "首响 SLA", "sla", is_on=True, settings={"answer_within_h": "4"}),
    AutomationRule("old", "旧流程", "linkage", is_on=False, settings={}),
)


class AutomatedCrm(MemoryConnector):
    """Notifies for every record created while its rule is on; can be told not to answer."""

    def __init__(self, options: Mapping[str, object], *, suppresses: bool = False) -> None:
        super().__init__(name="crm", options=options, base_dir=Path())
        self.capabilities = replace(self.capabilities, suppresses_automation=suppresses)
        self.rules = {rule.name: rule for rule in RULES}
        self.counts = {"workflow_runs": 7, "todos": 0, "notifications": 3, "messages": 0}
        self.forbidden: set[str] = set()
        self.is_silent = False
        """Its counts cannot be asked for."""

    def automation_rules(self) -> Sequence[AutomationRule]:
        return [self.rules[name] for name in sorted(self.rules)]

    def switch_rule(self, name: str, *, on: bool) -> None:
        if name in self.forbidden or name not in self.rules:
            raise Fatal(f"may not switch '{name}'", where=self.name)
        self.rules[name] = replace(self.rules[name], is_on=on)

    def automation_counts(self) -> Mapping[str, int]:
        if self.is_silent:
            raise Retryable("no answer", where=self.name)
        return dict(self.counts)

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        results = super().write(entity, rows)
        if self.rules["notify"].is_on and not self.capabilities.suppresses_automation:
            self.counts["notifications"] += sum(result.status is RowStatus.CREATED for result in results)
        return results
