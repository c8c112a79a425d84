"""`preflight`: what in the target would set people running during the load, or undo it on the first night."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.connectors.base import Automation, AutomationRule
from rollout.journal.plans import PlanRecord, Plans
from rollout.model.base import Frozen
from rollout.model.entity import FieldType
from rollout.model.finding import Finding, Level
from rollout.phases.context import PhaseContext
from rollout.phases.golden import golden_paths
from rollout.project.spec import EntitySpec, TargetSpec

PHASE = "preflight"
_AHEAD = ("proposed", "approved", "loading")
_WHOLE = ("load", "delta")
"""Kinds of plans that hold all records of a wave."""


class PreflightSummary(Frozen):
    """What to see to before the load."""

    run_id: str
    target: str
    rules_on: tuple[str, ...]
    errors: int
    warnings: int
    findings: tuple[Finding, ...]


def run_preflight(context: PhaseContext) -> PreflightSummary:
    """Look at the target's own rules, beside what is to be loaded. Changes nothing.

    Raises:
        ConfigError: Nothing was cleansed yet.
        Fatal: The target refuses for good.
        Retryable: The target or the database cannot be reached.
    """
    target_name, spec, target = context.target("load")
    connector = context.connector(spec.system)
    with context.journal.running(PHASE) as run:
        suppressed = spec.suppress_automation and target.capabilities.suppresses_automation
        look = _Look(context, target_name, spec, suppressed=suppressed)
        rules: list[AutomationRule] = []
        if isinstance(connector, Automation):
            rules = list(connector.automation_rules())
            findings = [finding for rule in rules if rule.is_on for finding in look.at(rule)]
        else:
            findings = [_unseen(spec.system)]
        findings += [*look.unrehearsed()]
        context.journal.add_findings(run.run_id, findings)
        summary = PreflightSummary(
            run_id=run.run_id,
            target=target_name,
            rules_on=tuple(rule.name for rule in rules if rule.is_on),
            errors=sum(finding.level is Level.ERROR for finding in findings),
            warnings=sum(finding.level is Level.WARNING for finding in findings),
            findings=tuple(findings),
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def _unseen(system: str) -> Finding:
    return Finding(
        id="preflight.unseen",
        level=Level.WARNING,
        message=f"system '{system}' does not tell its rules: workflows, assignment, recycling, SLA and notifications",
        where=system,
        hint="look at them by hand, switch off what would act on the load, and keep a list of it",
    )


@dataclass(frozen=True)
class _Look:
    """Looks at one rule at a time."""

    context: PhaseContext
    target_name: str
    spec: TargetSpec
    suppressed: bool
    """Our calls ask the target to set nothing off, and it does as it is asked."""

    def at(self, rule: AutomationRule) -> Iterator[Finding]:
        """What a rule that is on would do to what is loaded; one that acts on something else does nothing to it."""
        if "entity" in rule.settings and self._entity(rule) is None:
            return
        if rule.kind == "recycling":
            yield from self._recycling(rule)
        elif rule.kind == "sla":
            yield from self._sla(rule)
        else:
            yield self._set_off(rule)

    def _set_off(self, rule: AutomationRule) -> Finding:
        """Linkage, assignment, notifications: set off by a write, unless it asks for silence."""
        told = {
            "assignment": "would give loaded records to other owners",
            "notification": "would tell people of every record that is loaded",
            "linkage": "would act on every record that is loaded",
        }.get(rule.kind, "may act on every record that is loaded")
        if self.suppressed:
            return self._finding(
                "preflight.quieted",
                Level.INFO,
                rule,
                f"{told}; our calls ask for silence",
                "see in the load's result that the counts stayed the same",
            )
        return self._finding(
            "preflight.set_off", Level.ERROR, rule, told, "switch it off for the load: rollout automation off"
        )

    def _sla(self, rule: AutomationRule) -> Iterator[Finding]:
        hours = rule.settings.get("answer_within_h")
        told = f"would start a clock of {hours} h for each loaded record" if hours else "would start clocks"
        level = Level.INFO if self.suppressed else Level.WARNING
        yield self._finding("preflight.sla", level, rule, told, "switch it off until people work in the CRM")

    def _recycling(self, rule: AutomationRule) -> Iterator[Finding]:
        """Rules that sweep by the clock: no call of ours can ask them for silence."""
        hint = "switch it off until people work in the CRM: rollout automation off"
        found = self._entity(rule)
        if found is None:
            yield self._finding("preflight.recycling", Level.ERROR, rule, "would take records back to the pool", hint)
            return
        name, entity = found
        path = golden_paths(self.context)[name]
        records = pq.read_metadata(path).num_rows
        if days := _whole(rule.settings.get("holding_days")):
            clock = _ours(entity, rule.settings.get("clock_field"))
            if clock is None:
                told = (
                    f"counts {days} days from a time that the project does not write: all {records} loaded records of"
                    f" '{name}' would be taken at once, {days} days after the load, or in the first night"
                )
                yield self._finding("preflight.clock_unwritten", Level.ERROR, rule, told, _CLOCK_HINT, count=records)
            elif taken := self._taken(path, clock, entity, days):
                told = f"would take {taken} of {records} loaded records of '{name}' in the first night ({days} days)"
                yield self._finding("preflight.recycled", Level.ERROR, rule, told, hint, count=taken)
            else:
                told = f"would take none of the {records} loaded records of '{name}' in the first night"
                yield self._finding("preflight.recycling_waits", Level.INFO, rule, told, hint)
        yield from self._holding_limit(rule, name, entity, path)

    def _taken(self, path: Path, clock: str, entity: EntitySpec, days: int) -> int:
        """Records whose clock is already further back than the rule allows."""
        before = self.context.clock() - timedelta(days=days)
        is_date = entity.fields[clock].type is FieldType.DATE
        bound = before.strftime("%Y-%m-%d" if is_date else "%Y-%m-%dT%H:%M:%SZ")
        column = pq.read_table(path, columns=[clock])[clock]
        return int(pc.sum(pc.less(column, bound)).as_py() or 0)

    def _holding_limit(self, rule: AutomationRule, name: str, entity: EntitySpec, path: Path) -> Iterator[Finding]:
        """People who would hold more records than the CRM allows one person."""
        limit, owner = _whole(rule.settings.get("max_per_owner")), _ours(entity, rule.settings.get("owner_field"))
        if not limit or owner is None:
            return
        held = Counter(pq.read_table(path, columns=[owner])[owner].to_pylist())
        over = {person: count for person, count in held.items() if person is not None and count > limit}
        if over:
            told = (
                f"lets one person hold {limit} records of '{name}': {len(over)} people would hold more, together"
                f" {sum(over.values()) - limit * len(over)} too many"
            )
            yield self._finding(
                "preflight.holding_limit",
                Level.ERROR,
                rule,
                told,
                "raise the limit, or share their records out before the load",
                count=sum(over.values()) - limit * len(over),
                detail={"owners": dict(sorted(over.items(), key=lambda item: -item[1])[:20])},
            )

    def _entity(self, rule: AutomationRule) -> tuple[str, EntitySpec] | None:
        wanted = rule.settings.get("entity")
        entities = self.context.project.spec.entities.items()
        return next(((name, entity) for name, entity in entities if (entity.target_name or name) == wanted), None)

    def unrehearsed(self) -> Iterator[Finding]:
        """Where what is planned for this target differs from what was loaded into another one before."""
        project = self.context.journal.project_id
        with self.context.journal.transaction() as connection:
            plans = Plans(project)
            for wave in self.context.project.spec.waves:
                plan = plans.latest(connection, self.target_name, _AHEAD, wave=wave.name, kinds=_WHOLE)
                others = [name for name in self.context.project.spec.targets if name != self.target_name]
                rehearsed = [
                    plans.latest(connection, name, ("applied",), wave=wave.name, kinds=_WHOLE) for name in others
                ]
                if plan is None or not others:
                    continue
                best = max((found for found in rehearsed if found), key=lambda found: found.created_at, default=None)
                yield from _compared(plan, best, wave.name)

    def _finding(
        self,
        finding_id: str,
        level: Level,
        rule: AutomationRule,
        told: str,
        hint: str,
        *,
        count: int | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> Finding:
        return Finding(
            id=finding_id,
            level=level,
            message=f"{rule.label or rule.name} {told}",
            where=f"{self.spec.system}/{rule.name}",
            hint=hint,
            count=count,
            detail={"rule": rule.name, "settings": dict(rule.settings), **(detail or {})},
        )


_CLOCK_HINT = "map the legacy system's last follow-up (or creation) time to that field, or switch the rule off"


def _compared(plan: PlanRecord, rehearsed: PlanRecord | None, wave: str) -> Iterator[Finding]:
    """A plan beside the one that was applied to another target."""
    if rehearsed is None:
        yield Finding(
            id="preflight.not_rehearsed",
            level=Level.WARNING,
            message=f"plan {plan.plan_id} of wave '{wave}' was never tried on another target",
            where=plan.target,
            hint="load the wave into the test target first",
        )
        return
    changed = [name for name in ("sources", "rules") if plan.inputs.get(name) != rehearsed.inputs.get(name)]
    sizes = {
        entity: (sum(plan.counts.get(entity, {}).values()), sum(rehearsed.counts.get(entity, {}).values()))
        for entity in sorted({*plan.counts, *rehearsed.counts})
    }
    differing = {entity: pair for entity, pair in sizes.items() if pair[0] != pair[1]}
    if changed or differing:
        rows = ", ".join(f"{entity} {ours} rows instead of {theirs}" for entity, (ours, theirs) in differing.items())
        yield Finding(
            id="preflight.rehearsed_otherwise",
            level=Level.WARNING,
            message=f"plan {plan.plan_id} is not what was tried on '{rehearsed.target}' (plan {rehearsed.plan_id}): "
            + "; ".join([*([f"other {' and '.join(changed)}"] if changed else []), *([rows] if rows else [])]),
            where=plan.target,
            hint="try the data and rules of now on the test target again",
            detail={"counts": {"planned": plan.counts, "rehearsed": rehearsed.counts}},
        )


def _ours(entity: EntitySpec, target_field: str | None) -> str | None:
    """Our field that is written to a field of the target."""
    return next((name for name, spec in entity.fields.items() if (spec.target_name or name) == target_field), None)


def _whole(text: str | None) -> int:
    """A setting as a whole number; 0 where there is none."""
    return int(text) if text and text.isdecimal() else 0
