"""The queue of rejects: rows that a load left over, with what a person needs to decide about them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal.leases import Throttle
from rollout.journal.overlay import Line, Overlay, lines, overlay_of
from rollout.journal.plans import Plans
from rollout.journal.row_decisions import RowDecision
from rollout.load.plan import PlannedRow
from rollout.load.work import row_place
from rollout.model import masking
from rollout.model.base import Frozen
from rollout.model.choice import Choice, choices
from rollout.model.target import TargetRecord
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.golden import golden_paths
from rollout.phases.repairs import Repairs
from rollout.phases.wave_order import refuse_unknown_wave
from rollout.report.rejects_workbook import QueueLine, write_rejects

LEFT_OVER = ("rejected", "conflict", "waiting", "unknown", "intent")
"""States of rows that a load could not finish."""
SKIPPED = "skipped"
_LOOKED_AT = 1_000
"""Rows whose values are read at once."""
LISTED = 200
"""Rows that are listed one by one unless asked for more."""


class RejectedRow(Frozen):
    """One row of the queue, as it is listed; personal data masked."""

    entity: str
    key: str
    title: str
    state: str
    reason_code: str
    message: str
    choices: tuple[Choice, ...]
    decided: Choice | None = Field(description="Decided, and not sent yet.")


class RejectsSummary(Frozen):
    """What waits for people."""

    target: str
    wave: str
    plan_id: str
    rows: int
    decided: int = Field(description="Of these the ones that are decided and wait for `rollout load --retry`.")
    entities: dict[str, dict[str, int]] = Field(description="Rows by entity and `state/reason code`.")
    listed: tuple[RejectedRow, ...]
    file: str | None = Field(default=None, description="The workbook, where one was written.")


@dataclass(frozen=True)
class LeftOver:
    """One row of the queue, its values in plain text: for the person who repairs it."""

    line: Line
    state: str
    """As people are told: an open intent is unknown."""
    title: str
    values: Mapping[str, str | None]
    """What would be sent; of a reference the golden key of its parent."""
    record: TargetRecord | None
    """What the target holds under its key."""
    fields: tuple[str, ...]
    """The fields to look at; none where the row as a whole is meant."""
    clashing: tuple[str, ...]
    """Fields that need a decision each."""
    choices: tuple[Choice, ...]
    pending: RowDecision | None
    """What is decided and was not sent yet."""
    is_undo: bool
    """The outcome that is unknown is that of taking the row back."""


class Queue:
    """The rows that the plans of a wave left over.

    Args:
        context: The phase's context.
        target_name: The target's name.
        target: Its connector.
        overlay: The wave's plans.
    """

    def __init__(self, context: PhaseContext, target_name: str, target: TargetConnector, overlay: Overlay) -> None:
        self._context = context
        self._target = target
        self.overlay = overlay
        self.repairs = Repairs(context, target_name)
        self._plans = Plans(context.journal.project_id)
        self._throttle = Throttle(context.journal, target.name, target.capabilities, time.sleep)
        self._paths = golden_paths(context)
        self._undoing = {plan.plan_id for plan in overlay.over if plan.kind == "undo"}

    def lines(self, entity: str, *, skipped: bool = False) -> list[Line]:
        """The rows' newest lines; with those that people skipped, where asked."""
        states = (*LEFT_OVER, SKIPPED) if skipped else LEFT_OVER
        with self._context.journal.transaction() as connection:
            found = list(lines(connection, self.overlay, entity=entity, states=states))
        # What an undo could not put back is in its own report; only what became of a call is asked here.
        return [line for line in found if line.plan_id not in self._undoing or line.state in ("unknown", "intent")]

    def pending(self, entity: str, line: Line) -> RowDecision | None:
        """The newest decision about a row, as long as no plan has carried it out."""
        decision = self.repairs.of(entity).get(line.migration_key)
        if decision is None:
            return None
        if decision.action is Choice.RESEND:
            # The attempt it was about is closed: now the line of an earlier plan may tell the row's state again.
            order = [plan.plan_id for plan in self.overlay.plans]
            about = order.index(decision.plan_id) if decision.plan_id in order else len(order)
            return decision if about <= order.index(line.plan_id) else None
        if decision.plan_id != line.plan_id:
            return None
        return decision if line.state != SKIPPED or decision.action is Choice.RETRY else None

    def rows(self, entity: str, found: Sequence[Line]) -> Iterator[LeftOver]:
        """The rows of these lines with their values on both sides."""
        for start in range(0, len(found), _LOOKED_AT):
            part = found[start : start + _LOOKED_AT]
            ours = self._golden_values(entity, [line.golden_key for line in part])
            contested = [line.migration_key for line in part if line.state in ("conflict", "rejected")]
            theirs = self._held(entity, contested)
            clashing = self._clashing(entity, part)
            for line in part:
                yield self._row(entity, line, ours.get(line.golden_key, {}), theirs, clashing)

    def _row(
        self,
        entity: str,
        line: Line,
        values: Mapping[str, str | None],
        theirs: Mapping[str, Sequence[TargetRecord]],
        clashing: Mapping[str, tuple[str, ...]],
    ) -> LeftOver:
        spec = self._context.project.spec.entities[entity]
        record = next(iter(theirs.get(line.migration_key, ())), None)
        contested = clashing.get(line.migration_key, ())
        may = choices(line.state, line.reason_code, is_update=record is not None)
        if contested:
            fields = contested
        elif line.state == "rejected" or (line.state == "conflict" and Choice.KEEP_CRM in may):
            named = _named(line.message or "", tuple(spec.fields))
            fields = named or tuple(name for name, value in values.items() if value is not None)
        else:
            fields = tuple(spec.references) if line.state == "waiting" else ()
        return LeftOver(
            line=line,
            state="unknown" if line.state == "intent" else line.state,
            title=values.get(spec.title_field) or "",
            values=values,
            record=record,
            fields=fields,
            clashing=fields if Choice.KEEP_CRM in may and line.state == "conflict" else (),
            choices=may,
            pending=self.pending(entity, line),
            is_undo=line.plan_id in self._undoing,
        )

    def _golden_values(self, entity: str, golden_keys: Sequence[str]) -> dict[str, dict[str, str | None]]:
        path = self.repairs.golden_path(entity, self._paths[entity])
        fields = list(self._context.project.spec.entities[entity].fields)
        table = pq.read_table(
            path,
            columns=["_golden_key", *fields],
            filters=pc.field("_golden_key").isin(pa.array(golden_keys, pa.string())),
        )
        return {row.pop("_golden_key"): row for row in table.to_pylist()}

    def _held(self, entity: str, keys: Sequence[str]) -> dict[str, Sequence[TargetRecord]]:
        size = self._target.capabilities.max_read_keys
        held: dict[str, Sequence[TargetRecord]] = {}
        for start in range(0, len(keys), size):
            self._throttle.wait()
            held.update(self._target.read_by_keys(entity, keys[start : start + size]))
        return held

    def _clashing(self, entity: str, found: Sequence[Line]) -> dict[str, tuple[str, ...]]:
        """The fields that planned conflicts are about, by migration key."""
        by_plan: dict[str, list[str]] = {}
        for line in found:
            if line.reason_code == "changed_on_both_sides":
                by_plan.setdefault(line.plan_id, []).append(line.migration_key)
        clashing: dict[str, tuple[str, ...]] = {}
        for plan in self.overlay.plans:
            if keys := by_plan.get(plan.plan_id):
                sealer = self._context.journal.sealer_if_kept(plan.key_id)
                if sealer is None:
                    continue  # the line's message names them
                with self._context.journal.transaction() as connection:
                    stored = self._plans.rows_by_key(connection, plan.plan_id, entity, keys)
                for key, row in stored.items():
                    payload: Any = sealer.open(row.payload, row_place(plan.plan_id, entity, key))
                    planned = PlannedRow.from_payload(key, row.golden_key, row.action, row.reason_code, payload)
                    clashing[key] = planned.clashing
        return clashing


def _named(message: str, fields: Sequence[str]) -> tuple[str, ...]:
    """Fields that a message names."""
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", message))
    in_brackets = {word for word in re.findall(r"\(([A-Za-z_][A-Za-z0-9_]*)\)", message) if word in fields}
    return tuple(name for name in fields if name in (in_brackets or words))


def chosen_overlay(context: PhaseContext, target_name: str, wave: str | None) -> Overlay:
    """The plans of a wave (None: of the wave loaded last).

    Raises:
        ConfigError: There is no such wave, or nothing of it was loaded.
    """
    if wave is not None:
        refuse_unknown_wave(context, wave)
    journal = context.journal
    with journal.transaction() as connection:
        base = Plans(journal.project_id).latest_begun(connection, target_name, wave=wave)
        found = overlay_of(connection, journal.project_id, target_name, base.wave) if base else None
    if found is None:
        what = "nothing" if wave is None else f"nothing of wave '{wave}'"
        raise ConfigError(f"{what} was loaded into '{target_name}' yet", hint="run `rollout load` first")
    return found


def list_rejects(
    context: PhaseContext, *, wave: str | None = None, skipped: bool = False, limit: int = LISTED
) -> RejectsSummary:
    """Tell what waits for people.

    Args:
        context: The phase's context.
        wave: Of which wave; None: the one loaded last.
        skipped: Also what people skipped.
        limit: Rows to list one by one.

    Raises:
        ConfigError: Nothing was loaded, or there is no such wave.
    """
    target_name, _, target = context.target("load")
    queue = Queue(context, target_name, target, chosen_overlay(context, target_name, wave))
    return _told(context, queue, skipped=skipped, limit=limit)


def export_rejects(
    context: PhaseContext, path: Path, *, wave: str | None = None, skipped: bool = False
) -> RejectsSummary:
    """Write the queue as a workbook for the person who decides; values are in plain text.

    Raises:
        ConfigError: Nothing was loaded, there is no such wave, or the file's name or folder cannot be.
        Retryable: The target or the database cannot be reached.
    """
    if path.suffix.lower() != ".xlsx" or not path.parent.is_dir():
        raise ConfigError(
            "the workbook cannot be written there", where=str(path), hint="name a .xlsx file in a folder that exists"
        )
    target_name, _, target = context.target("load")
    queue = Queue(context, target_name, target, chosen_overlay(context, target_name, wave))
    base = queue.overlay.base
    spec = context.project.spec
    info = {"project": spec.project.id, "target": base.target, "wave": base.wave, "plan": queue.overlay.newest.plan_id}
    found = (
        line
        for entity in spec.load_order
        for row in queue.rows(entity, queue.lines(entity, skipped=skipped))
        for line in queue_lines(context, entity, row)
    )
    write_rejects(path, found, info, spec.project.languages[0])
    return _told(context, queue, skipped=skipped, limit=0).model_copy(update={"file": str(path)})


def queue_lines(context: PhaseContext, entity: str, row: LeftOver) -> list[QueueLine]:
    """The lines of a row in the workbook: one a field to look at."""
    spec = context.project.spec.entities[entity]
    return [
        QueueLine(
            key=row.line.golden_key,
            entity=entity,
            entity_label=spec.label,
            title=row.title,
            state=row.state,
            field=name,
            label=spec.fields[name].label if name else "",
            value=row.values.get(name) if name else None,
            crm_value=row.record.values.get(name) if name and row.record else None,
            reason_code=row.line.reason_code or "",
            message=row.line.message or "",
            choices=row.choices,
            decided=row.pending.action if row.pending else None,
        )
        for name in row.fields or ("",)
    ]


def _told(context: PhaseContext, queue: Queue, *, skipped: bool, limit: int) -> RejectsSummary:
    spec = context.project.spec
    counts: dict[str, dict[str, int]] = {}
    listed: list[RejectedRow] = []
    rows = decided = 0
    for entity in spec.load_order:
        found = queue.lines(entity, skipped=skipped)
        rows += len(found)
        decided += sum(queue.pending(entity, line) is not None for line in found)
        by_reason = Counter(f"{line.state}/{line.reason_code or 'none'}" for line in found)
        if by_reason:
            counts[entity] = dict(sorted(by_reason.items()))
        title = spec.entities[entity].fields[spec.entities[entity].title_field]
        for row in queue.rows(entity, found[: max(limit - len(listed), 0)]):
            shown = masking.mask_field(title, row.title) if spec.privacy.mask else row.title
            listed.append(
                RejectedRow(
                    entity=entity,
                    key=row.line.golden_key,
                    title=shown or "",
                    state=row.state,
                    reason_code=row.line.reason_code or "",
                    message=row.line.message or "",
                    choices=row.choices,
                    decided=row.pending.action if row.pending else None,
                )
            )
    return RejectsSummary(
        target=queue.overlay.base.target,
        wave=queue.overlay.base.wave,
        plan_id=queue.overlay.newest.plan_id,
        rows=rows,
        decided=decided,
        entities=counts,
        listed=tuple(listed),
    )
