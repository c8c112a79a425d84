"""`sync-check`: every night, the CRM against the systems around it and against what was loaded into it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import duckdb
from pydantic import Field

from rollout.errors import RolloutError
from rollout.journal.carried import Carried
from rollout.model.base import Frozen
from rollout.model.finding import Finding, Level
from rollout.model.verdict import GateResult, Measurement, Verdict, judge_gate
from rollout.operate.incidents import Signal
from rollout.operate.kinds import WRONG, Kind
from rollout.operate.permissions import INACTIVE
from rollout.phases.alerting import IncidentSummary, settle
from rollout.phases.context import PhaseContext
from rollout.phases.crm_and_legacy import LegacyChanges, check_loaded, legacy_changes
from rollout.phases.crm_and_source import Difference, SourceCheck, check_source, unread
from rollout.phases.crm_state import EntityQuality, Permissions, observed, permissions, quality, volumes
from rollout.phases.stages import engine
from rollout.project.gates import criteria
from rollout.report.files import write_document

PHASE = GATE = "sync_check"
LEGACY = "legacy:"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MAX_DIFFERENCES = 10_000
"""Lines in the list of differences; all are counted."""


class SyncCheckSummary(Frozen):
    """The answer of `sync-check`."""

    run_id: str
    date: str = Field(description="The night's date in the project's time zone.")
    verdict: Verdict
    gate: GateResult
    sources: tuple[SourceCheck, ...]
    not_configured: tuple[str, ...] = Field(description="Comparisons that the project has nothing for.")
    legacy: tuple[LegacyChanges, ...] = Field(description="What became of the legacy sources since the load.")
    quality: dict[str, EntityQuality] = Field(description="By entity; one that could not be read is left out.")
    volumes: dict[str, int] | None = Field(description="Records by entity of the CRM; None: it could not be asked.")
    permissions: Permissions
    differences: str = Field(description="Path of the list of differences, values masked.")
    incidents: IncidentSummary


@dataclass
class _Night:
    """What is being found."""

    sources: list[SourceCheck] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    quality: dict[str, EntityQuality] = field(default_factory=dict)

    def add(self, check: SourceCheck, differences: Sequence[Difference] = ()) -> None:
        self.sources.append(check)
        self.differences += differences


def run_sync_check(context: PhaseContext) -> SyncCheckSummary:
    """Compare, judge the gate, record differences, quality, volumes and permissions, and tell people.

    A side that cannot be read is told as such: what it leaves open is INCONCLUSIVE, and the night is recorded.

    Raises:
        ConfigError: No target names the phase `operate`.
        Retryable: The journal's database cannot be reached.
    """
    context.target("operate")
    integration = context.project.spec.integration
    syncs = integration.syncs if integration else {}
    night = _Night()
    with context.journal.running(PHASE) as run, engine(context.project.workspace.stages) as connection:
        for name, sync in syncs.items():
            try:
                night.add(*check_source(context, connection, name, sync))
            except RolloutError as error:
                night.add(unread(name, error))
        _examine_loaded(context, connection, night, run.run_id)
        legacy, rows = legacy_changes(context, connection)
        night.differences += rows
        gate = judge_gate(GATE, list(criteria(context.project.spec, GATE)), measurements(night.sources))
        context.journal.record_gate(run.run_id, gate)
        who = permissions(context, PHASE)
        context.journal.add_findings(run.run_id, list(_findings(night, legacy, who)))
        summary = SyncCheckSummary(
            run_id=run.run_id,
            date=context.clock().astimezone(ZoneInfo(context.project.spec.project.time_zone)).date().isoformat(),
            verdict=gate.verdict,
            gate=gate,
            sources=tuple(night.sources),
            not_configured=() if syncs else ("syncs",),
            legacy=legacy,
            quality=night.quality,
            volumes=_volumes(context),
            permissions=who,
            differences=_write(context, night.differences),
            incidents=_tell(context, night.sources),
        )
        run.summary = summary.model_dump(mode="json")
    return summary


def measurements(sources: Sequence[SourceCheck]) -> list[Measurement]:
    """The gate's metrics. What was found wrong counts even if another source could not be read; 0 then proves nothing.

    Only syncs can be late: what was loaded is there or not.
    """
    found = []
    for kind in WRONG:
        concerned = [check for check in sources if kind is not Kind.LATE or not check.source.startswith(LEGACY)]
        unreadable = [check.source for check in concerned if check.unreadable]
        value = sum(check.kinds.get(kind, 0) for check in concerned)
        found.append(
            Measurement(
                metric=f"sync_{kind}",
                value=None if unreadable and not value else value,
                evidence=sum(check.compared for check in concerned),
                detail=f"could not be compared: {', '.join(unreadable)}" if unreadable else "",
            )
        )
    return found


def _examine_loaded(context: PhaseContext, connection: duckdb.DuckDBPyConnection, night: _Night, run_id: str) -> None:
    """What was loaded, and the quality of all that the CRM holds of the project's entities."""
    spec, target_name = context.project.spec, context.target("operate")[0]
    for entity in spec.load_order:
        path = context.project.workspace.stages / entity / f"nightly-{run_id}.parquet"
        try:
            observed(context, entity, path)
            night.quality[entity] = quality(connection, path, spec.entities[entity].fields, spec.match.get(entity))
            with context.journal.transaction() as transaction:
                loaded = Carried(context.journal.project_id, target_name).count_loaded(transaction, entity)
            if loaded:
                night.add(*check_loaded(context, entity, path))
        except RolloutError as error:
            night.add(unread(f"{LEGACY}{entity}", error))
        finally:
            path.unlink(missing_ok=True)  # personal data that can be read again


def _volumes(context: PhaseContext) -> dict[str, int] | None:
    try:
        return volumes(context)
    except RolloutError:
        return None  # the sources say why: they could not be read either


def _tell(context: PhaseContext, sources: Sequence[SourceCheck]) -> IncidentSummary:
    signals: list[Signal] = []
    undecided: list[str] = []
    for check in sources:
        keys = {kind: f"{PHASE}:{kind}:{check.source}" for kind in WRONG}
        if check.unreadable:
            signals.append(Signal(f"{PHASE}:unreadable:{check.source}", check.unreadable))
            undecided += keys.values()
        for kind, key in keys.items():
            if count := check.kinds.get(kind, 0):
                signals.append(Signal(key, f"{count} of {check.compared} records ({_reasons(check, kind)})"))
    return settle(context, PHASE, signals, undecided)


def _reasons(check: SourceCheck, kind: Kind) -> str:
    mine = {name.partition("/")[2]: count for name, count in check.reasons.items() if name.partition("/")[0] == kind}
    return ", ".join(f"{count} × {reason}" for reason, count in sorted(mine.items(), key=lambda item: -item[1]))


_LEVELS = {Kind.EDITED: Level.INFO, **dict.fromkeys(WRONG, Level.ERROR)}
_FINDINGS = {
    Kind.MISSING: "operate.missing",
    Kind.EXTRA: "operate.extra",
    Kind.DIFFERENT: "operate.different",
    Kind.LATE: "operate.late",
    Kind.EDITED: "operate.edited",
}


def _findings(night: _Night, legacy: Sequence[LegacyChanges], who: Permissions) -> Iterator[Finding]:
    for check in night.sources:
        if check.unreadable:
            yield Finding(
                id="operate.unreadable", level=Level.ERROR, message=check.unreadable, where=check.source, hint="see why"
            )
        for name, count in check.reasons.items():
            kind, _, reason = name.partition("/")
            if kind in _FINDINGS:
                yield Finding(
                    id=_FINDINGS[Kind(kind)],
                    level=_LEVELS[Kind(kind)],
                    message=f"{count} records are {kind}: {reason}",
                    where=check.source,
                    hint="see the list of differences",
                    count=count,
                    detail={"because": reason},
                )
    for change in legacy:
        if not change.comparable:
            yield Finding(
                id="operate.source_unreadable",
                level=Level.INFO,
                message=change.detail,
                where=change.source,
                hint="nothing to do if the old system is switched off",
            )
        elif change.new or change.changed or change.gone:
            yield Finding(
                id="operate.source_changed",
                level=Level.WARNING,
                message=f"{change.new} new, {change.changed} changed and {change.gone} gone rows since the load",
                where=change.source,
                hint="see whether people still work in the old system; plan and load again if they should",
                count=change.new + change.changed + change.gone,
                detail={"new": change.new, "changed": change.changed, "gone": change.gone},
            )
    for moved in who.changes:
        yield Finding(
            id="operate.permission_changed",
            level=Level.WARNING if moved.after not in (INACTIVE, "absent") else Level.INFO,
            message=f"{moved.login}: {moved.before} → {moved.after}",
            where=moved.login,
            hint="check that somebody asked for it",
            detail={"login": moved.login, "before": moved.before, "after": moved.after},
        )


def _write(context: PhaseContext, differences: Sequence[Difference]) -> str:
    """The list of differences, for people: `reports/sync-check-DATE-HHMM.csv`, cells safe for spreadsheets."""
    local = context.clock().astimezone(ZoneInfo(context.project.spec.project.time_zone))
    columns = list(Difference.model_fields)
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(columns)
    for item in differences[:_MAX_DIFFERENCES]:
        cells = [str(getattr(item, name)) for name in columns]
        writer.writerow(["'" + cell if cell.startswith(_FORMULA) else cell for cell in cells])
    name = f"sync-check-{local:%Y-%m-%d-%H%M}.csv"
    return str(write_document(context.project.workspace.reports, name, text.getvalue()))
