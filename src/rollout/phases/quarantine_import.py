"""The quarantine comes back: repaired rows are judged again as cleansing will, and what holds is recorded by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from rollout.cleanse.words import RowWord
from rollout.errors import ConfigError
from rollout.journal import audit_trail, handouts, people, source_decisions
from rollout.journal.source_decisions import SourceDecision
from rollout.match.parquet import scan
from rollout.model.base import Frozen
from rollout.phases.cleansed_rows import LatestCleansing
from rollout.phases.context import PhaseContext
from rollout.phases.quarantine_check import Recheck, StillWrong
from rollout.phases.quarantine_export import KIND, version_of
from rollout.phases.quarantine_rows import hashes_of
from rollout.phases.stages import engine
from rollout.report.quarantine_workbook import Answer, read_quarantine

RECORDED = ("accepted", "partly", "left_out")
"""Outcomes that are recorded; all others change nothing."""


class RowResult(Frozen):
    """What became of the answers about one row."""

    file: str
    line: int
    entity: str
    key: str
    outcome: str = Field(
        description="accepted: it leaves the quarantine. partly: what holds is kept, something is still wrong. wrong: "
        "nothing of it holds. left_out. gone: it is no longer in quarantine. changed: its source changed since the "
        "export. refused: the answers contradict each other or name what cannot be repaired."
    )
    problems: tuple[str, ...] = Field(
        default=(), description="What is still wrong: `field: reason code`, or a sentence."
    )


class QuarantineImport(Frozen):
    """What became of workbooks that came back."""

    outcomes: dict[str, int] = Field(description="Rows by outcome.")
    recorded: int = Field(description="Rows that something was recorded about.")
    rows: tuple[RowResult, ...]


@dataclass
class _Row:
    """The answers about one row, from whatever workbook."""

    file: str
    handout_id: str
    line: int
    version: str
    values: dict[str, str] = field(default_factory=dict)
    leave_out: bool = False
    wrong: list[str] = field(default_factory=list)


def import_quarantine(
    context: PhaseContext, files: Sequence[Path], *, person: str, code: str, reason: str, password: str | None = None
) -> QuarantineImport:
    """Take in what people filled in.

    A value that does not hold is shown and not recorded; the others are, so that nobody types them twice.

    Args:
        context: The phase's context.
        files: The workbooks.
        person: Who brings them in, and answers for it.
        code: Their personal code.
        reason: Why, in a sentence.
        password: Opens encrypted workbooks; default: that of `handouts`.

    Raises:
        ApprovalError: Wrong code, unknown person, no reason.
        ConfigError: A file is no such workbook, or another project's; nothing of any is recorded then.
    """
    people.sign(context.journal, person, code, reason)
    books = [_read(context, path, password) for path in files]
    latest = LatestCleansing(context)
    rows: dict[tuple[str, str], _Row] = {}
    for path, handout_id, answers in books:
        for answer in answers:
            _gather(rows, answer, path.name, handout_id)
    results, decisions = [], []
    with engine(latest.root) as connection:
        for entity in {name for name, _ in rows}:
            ours = {key: row for (name, key), row in rows.items() if name == entity}
            if entity not in latest.done:
                results += [_result(entity, key, row, "gone") for key, row in ours.items()]
                continue
            judged = _Judge(latest, Recheck(connection, latest, entity), entity).judge(ours)
            results += [result for result, _ in judged]
            decisions += [
                (decision, rows[entity, decision.source_key]) for _, decision in judged if decision is not None
            ]
    _record(context, decisions, books, results, person=person, reason=reason)
    results.sort(key=lambda result: (result.file, result.line))
    return QuarantineImport(
        outcomes=dict(Counter(result.outcome for result in results)), recorded=len(decisions), rows=tuple(results)
    )


def _read(context: PhaseContext, path: Path, password: str | None) -> tuple[Path, str, Sequence[Answer]]:
    """A workbook of this project, its handout and its answers."""
    spec, journal = context.project.spec, context.journal
    info, answers = read_quarantine(path, password or spec.handouts.password)
    if info.get("project") != spec.project.id:
        raise ConfigError(
            f"this workbook is of project '{info.get('project', '?')}'", where=path.name, hint="bring it in there"
        )
    with journal.transaction() as connection:
        is_known = handouts.is_known(connection, journal.project_id, info.get("handout", ""), kind=KIND)
    if not is_known:
        raise ConfigError("nobody handed out this workbook", where=path.name, hint="export the quarantine again")
    return path, info["handout"], answers


def _gather(rows: dict[tuple[str, str], _Row], answer: Answer, file: str, handout_id: str) -> None:
    row = rows.setdefault((answer.entity, answer.key), _Row(file, handout_id, answer.line, answer.version))
    if answer.is_unknown:
        row.wrong.append(f"line {answer.line}: the action is none of those to choose from")
    if answer.is_mask:
        row.wrong.append(f"{answer.field}: this is the mask of the value, not a value")
    if answer.version != row.version:
        row.wrong.append("the workbooks show two versions of the row")
    row.leave_out |= answer.leave_out
    if not answer.new_value:
        return
    if row.values.setdefault(answer.field, answer.new_value) != answer.new_value:
        row.wrong.append(f"{answer.field}: two different values")


class _Judge:
    """Decides about the answered rows of one entity."""

    def __init__(self, latest: LatestCleansing, recheck: Recheck, entity: str) -> None:
        self.latest, self.recheck, self.entity = latest, recheck, entity
        self.sealer = latest.context.journal.ledger_sealer()
        journal = latest.context.journal
        with journal.transaction() as connection:
            self.known = source_decisions.newest(connection, journal.project_id, entity, open_sealer=journal.sealer)

    def judge(self, rows: Mapping[str, _Row]) -> list[tuple[RowResult, SourceDecision | None]]:
        """Each row's outcome, and what is to be recorded about it."""
        hashes = hashes_of(self.recheck.connection, self.latest, self.entity, list(rows))
        waiting = self._in_quarantine()
        done: list[tuple[RowResult, SourceDecision | None]] = []
        open_rows: dict[str, _Row] = {}
        for key, row in rows.items():
            outcome = self._refusal(key, row, hashes.get(key), is_waiting=key in waiting)
            if outcome is not None:
                done.append((_result(self.entity, key, row, outcome), None))
            elif row.leave_out:
                decision = SourceDecision(self.entity, key, "leave_out", hashes[key])
                done.append((_result(self.entity, key, row, "left_out"), decision))
            else:
                open_rows[key] = row
        return done + self._repaired(open_rows, hashes)

    def _refusal(self, key: str, row: _Row, row_hash: str | None, *, is_waiting: bool) -> str | None:
        """Why nothing can be done about a row; None: something can."""
        if row_hash is None or not is_waiting:
            return "gone"
        if version_of(row_hash, self.sealer) != row.version:
            return "changed"
        if row.leave_out and row.values:
            row.wrong.append("left out and repaired at once")
        stray = sorted(set(row.values) - self.recheck.mapped_fields(key)) if not row.leave_out else []
        row.wrong += [f"{name or 'the row as a whole'}: cannot be repaired" for name in stray]
        return "refused" if row.wrong else None

    def _repaired(
        self, rows: Mapping[str, _Row], hashes: Mapping[str, str]
    ) -> list[tuple[RowResult, SourceDecision | None]]:
        """Judge the rows with all that was put right; then again without what does not hold."""
        earlier = {
            key: decision.values
            for key, decision in self.known.items()
            if key in rows and decision.row_hash == hashes[key] and decision.action == "repair"
        }
        values = {key: {**earlier.get(key, {}), **row.values} for key, row in rows.items()}
        first = self.recheck.judge([_word(key, hashes[key], given) for key, given in values.items()])
        kept = {
            key: {
                name: value
                for name, value in given.items()
                if name not in rows[key].values or name not in _repairable(first[key])
            }
            for key, given in values.items()
        }
        done: list[tuple[RowResult, SourceDecision | None]] = []
        for key, row in rows.items():
            problems = first[key]
            holds = any(name in kept[key] for name in row.values)
            outcome = "accepted" if not problems else "partly" if holds else "wrong"
            told = tuple(f"{found.field or self.entity}: {found.reason_code}" for found in problems)
            decision = SourceDecision(self.entity, key, "repair", hashes[key], kept[key]) if holds else None
            done.append((_result(self.entity, key, row, outcome, told), decision))
        return done

    def _in_quarantine(self) -> set[str]:
        file = scan(self.latest.root / self.latest.done[self.entity].quarantine_file)
        rows = self.recheck.connection.execute(f"SELECT DISTINCT _source_key FROM {file}").fetchall()  # noqa: S608
        return {key for (key,) in rows}


def _repairable(problems: Iterable[StillWrong]) -> set[str]:
    """Fields whose value is wrong by itself: not because another row waits."""
    return {found.field for found in problems if found.field and found.reason_code != "parent_quarantined"}


def _word(key: str, row_hash: str, values: Mapping[str, str]) -> RowWord:
    return RowWord(key, row_hash, fields=tuple(sorted(values.items())))


def _result(entity: str, key: str, row: _Row, outcome: str, problems: tuple[str, ...] = ()) -> RowResult:
    return RowResult(
        file=row.file, line=row.line, entity=entity, key=key, outcome=outcome, problems=(*row.wrong, *problems)
    )


def _record(
    context: PhaseContext,
    decisions: Sequence[tuple[SourceDecision, _Row]],
    books: Sequence[tuple[Path, str, Sequence[Answer]]],
    results: Sequence[RowResult],
    *,
    person: str,
    reason: str,
) -> None:
    journal, at = context.journal, context.clock()
    ledger, sealer = journal.ledger_sealer(), journal.new_data_key("repair")
    outcomes: dict[str, Counter[str]] = {}
    for result in results:
        outcomes.setdefault(result.file, Counter())[result.outcome] += 1
    with journal.transaction() as connection:
        source_decisions.record(
            connection,
            journal.project_id,
            [(decision, version_of(decision.row_hash, ledger), row.handout_id) for decision, row in decisions],
            sealer,
            person=person,
            reason=reason,
            at=at,
        )
        for path, handout_id, answers in books:
            answered = len({(answer.entity, answer.key) for answer in answers})
            handouts.record_return(
                connection, journal.project_id, handout_id, answered=answered, returned_by=person, returned_at=at
            )
            detail = {"rows": dict(outcomes.get(path.name, {})), "reason": reason}
            audit_trail.append(connection, journal.project_id, person, "quarantine.imported", handout_id, detail)
