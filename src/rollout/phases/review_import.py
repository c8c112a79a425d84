"""What people said about pairs comes back: checked as a whole, signed by name, recorded for the next cleansing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError
from rollout.journal import audit_trail, handouts, pair_decisions, people
from rollout.journal.apart import merged_rows
from rollout.journal.pair_decisions import PairDecision, decision
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.review import KIND, OPEN, Pair, ReviewQueue
from rollout.report.review_workbook import ReviewAnswer, read_review

SAME, DIFFERENT = "same", "different"
_REMARK = " · "


class ReviewProblem(Frozen):
    """A line that cannot be taken."""

    file: str
    line: int
    pair: str
    message: str
    hint: str


class ReviewImport(Frozen):
    """What came back."""

    problems: tuple[ReviewProblem, ...] = Field(default=(), description="Any of them, and nothing was recorded.")
    same: int = 0
    different: int = 0
    gone: int = Field(default=0, description="Answers about pairs that nobody asks about any more.")
    unanswered: int = Field(default=0, description="Lines without an answer.")


@dataclass(frozen=True)
class _Returned:
    """A workbook that came back, checked."""

    entity: str
    handout_id: str | None
    decisions: Sequence[tuple[PairDecision, str]]
    """Each with the remark beside it."""
    gone: int
    unanswered: int
    lines: Mapping[tuple[str, str], int]
    """By the two keys of a decision the line of the sheet."""


def import_review(
    context: PhaseContext,
    paths: Sequence[Path],
    *,
    person: str,
    code: str,
    reason: str,
    password: str | None = None,
) -> ReviewImport:
    """Record what a person decided about pairs: all lines of all workbooks, or nothing where one cannot be taken.

    The next cleansing heeds it. Pairs of different owners or companies are called the same by a director alone.

    Args:
        context: The phase's context.
        paths: The workbooks.
        person: Who decided.
        code: Their personal code.
        reason: Why, in a sentence; a note beside a line is kept with it.
        password: Opens sealed workbooks; None: the project's `handouts.password`.

    Raises:
        ApprovalError: Wrong code, unknown person, or no reason.
        ConfigError: A file is no such workbook, or that of another project; nothing was cleansed yet.
        Retryable: The database cannot be reached.
    """
    people.sign(context.journal, person, code, reason)
    problems: list[ReviewProblem] = []
    opening = password or context.project.spec.handouts.password
    desk = _Desk(context, person)
    returned = [_returned(desk, path, opening, problems) for path in paths]
    problems += _contradictions(paths, returned)
    if problems:
        return ReviewImport(problems=tuple(problems))
    for item in returned:
        _record(context, item, person=person, reason=reason)
    verdicts = Counter(made.verdict for item in returned for made, _ in item.decisions)
    return ReviewImport(
        same=verdicts[SAME],
        different=verdicts[DIFFERENT],
        gone=sum(item.gone for item in returned),
        unanswered=sum(item.unanswered for item in returned),
    )


def decide_pair(
    context: PhaseContext, entity: str, keys: tuple[str, str], verdict: str, *, person: str, code: str, reason: str
) -> ReviewImport:
    """Record what a person decided about one pair of rows, asked about or not; arguments as :func:`import_review`.

    Raises:
        ApprovalError: Wrong code, unknown person, no reason; or only a director may decide it.
        ConfigError: There are no such rows, they are one record in the target already, or nothing was cleansed yet.
    """
    people.sign(context.journal, person, code, reason)
    queue = ReviewQueue(context, entity)
    known = queue.rows(keys)
    if missing := sorted(set(keys) - set(known)):
        told = ", ".join(f"'{key}'" for key in missing)
        raise ConfigError(f"no cleansed row has the key {told}", where=entity, hint="write it as `source:row key`")
    if keys[0] == keys[1]:
        raise ConfigError("a pair is of two rows", where=entity, hint="name the other row, too")
    made = decision(*keys, verdict)
    checker = _Checker(context, queue, person)
    if problem := checker.problem(made, checker.asked.get((made.left_key, made.right_key))):
        raise (ApprovalError if problem.forbidden else ConfigError)(problem.message, where=entity, hint=problem.hint)
    _record(context, _Returned(entity, None, [(made, "")], 0, 0, {}), person=person, reason=reason)
    return ReviewImport(same=int(verdict == SAME), different=int(verdict == DIFFERENT))


class _Problem(NamedTuple):
    """What keeps a decision from being taken, and what to do."""

    message: str
    hint: str
    forbidden: bool = False
    """To this person."""


class _Checker:
    """Whether a person may say what they said."""

    def __init__(self, context: PhaseContext, queue: ReviewQueue, person: str) -> None:
        self._context, self.queue, self._person = context, queue, person
        self._guards = queue.guards
        self.asked = {pair.ends: pair for pair in queue.pairs(merged=True)}
        self._joined: dict[str, set[str]] = {}
        for ends in queue.joined():
            self._join(*ends)

    def take(self, made: PairDecision) -> None:
        """Count a decision that can be taken among what people said."""
        if made.verdict == SAME:
            self._join(made.left_key, made.right_key)

    def problem(self, made: PairDecision, pair: Pair | None) -> _Problem | None:
        """What keeps a decision from being taken."""
        directors = self._guards.directors
        if made.verdict == SAME and directors and self._person not in directors and self._across(made, pair):
            told = (
                f"these are of different {', '.join(self._guards.across)}: only a sales director may call them the same"
            )
            return _Problem(told, f"have it brought in by {' or '.join(directors)}", forbidden=True)
        if made.verdict == DIFFERENT and (pair is None or pair.state != OPEN) and (row := self._loaded(made)):
            return _Problem(
                f"both were loaded as one record: '{row}' must be taken out of it first",
                f"use `rollout unmerge {row}`, which makes it a record of its own",
            )
        return None

    def _across(self, made: PairDecision, pair: Pair | None) -> bool:
        """Whether a decision brings different owners or companies together, be it through other rows of a record."""
        if pair is not None and pair.across:
            return True
        left, right = self._record(made.left_key), self._record(made.right_key)
        rows = self.queue.rows([*left, *right])

        def values(record: set[str], name: str) -> set[str | None]:
            return {rows[key][name] for key in record if key in rows} - {None}

        ends = ({made.left_key}, {made.right_key})
        compared = (ends, (left, right)) if left != right else (ends,)
        sides = [
            (values(ours, name), values(theirs, name)) for name in self._guards.across for ours, theirs in compared
        ]
        return any(len(ours | theirs) > max(len(ours), len(theirs)) for ours, theirs in sides)

    def _join(self, one: str, other: str) -> None:
        self._joined.setdefault(one, set()).add(other)
        self._joined.setdefault(other, set()).add(one)

    def _record(self, key: str) -> set[str]:
        """All rows that are one record with a row."""
        found, ends = {key}, [key]
        while ends:
            new = self._joined.get(ends.pop(), set()) - found
            found |= new
            ends += new
        return found

    def _loaded(self, made: PairDecision) -> str | None:
        """The one of two rows that was merged into a record which holds the other, and which is in a target."""
        journal, ends = self._context.journal, (made.left_key, made.right_key)
        with journal.transaction() as connection:
            found = [
                row
                for target in self._context.project.spec.targets
                for key in ends
                for row in merged_rows(connection, journal.project_id, target, key, entity=self.queue.entity)
                if row.source_key == key
            ]
        record_of = dict(zip(ends, ends, strict=True)) | {row.source_key: row.golden_key for row in found}
        loaded = [row.source_key for row in found if row.target_id is not None]
        return loaded[0] if loaded and len(set(record_of.values())) == 1 else None


class _Desk:
    """What one person brings in, whatever workbooks it is in."""

    def __init__(self, context: PhaseContext, person: str) -> None:
        self.context, self._person = context, person
        self._checkers: dict[str, _Checker] = {}

    def checker(self, entity: str) -> _Checker:
        """Who checks what is said about an entity."""
        if entity not in self._checkers:
            self._checkers[entity] = _Checker(self.context, ReviewQueue(self.context, entity), self._person)
        return self._checkers[entity]


def _returned(desk: _Desk, path: Path, password: str | None, problems: list[ReviewProblem]) -> _Returned:
    book, answers = read_review(path, password=password)
    project = desk.context.project.spec.project.id
    if book.info.get("project") != project:
        raise ConfigError(
            f"this workbook is of project '{book.info.get('project', '?')}', not '{project}'",
            where=path.name,
            hint="bring it in where it was exported; its last sheet says what it is of",
        )
    journal = desk.context.journal
    with journal.transaction() as connection:
        is_known = handouts.is_known(connection, journal.project_id, book.info.get("handout", ""), kind=KIND)
    if not is_known:
        raise ConfigError("nobody handed out this workbook", where=path.name, hint="run `rollout review export` again")
    checker = desk.checker(book.info.get("entity", ""))
    queue, asked = checker.queue, checker.asked
    found: dict[tuple[str, str], tuple[PairDecision, str]] = {}
    places: dict[tuple[str, str], int] = {}
    gone = unanswered = 0
    for answer in answers:
        ends = (min(answer.left_key, answer.right_key), max(answer.left_key, answer.right_key))
        made = decision(*ends, answer.verdict or "")
        problem = _unreadable(answer, found.get(ends))
        if problem is None and not answer.verdict:
            unanswered += 1
        elif problem is None and ends not in asked and ends not in queue.decided:
            gone += 1
        elif problem is None and (problem := checker.problem(made, asked.get(ends))) is None:
            found[ends], places[ends] = (made, answer.note), answer.line
            checker.take(made)
        if problem is not None:
            told = {"pair": f"{answer.left_key} – {answer.right_key}", "message": problem.message, "hint": problem.hint}
            problems.append(ReviewProblem(file=path.name, line=answer.line, **told))
    return _Returned(queue.entity, book.info.get("handout"), list(found.values()), gone, unanswered, places)


def _contradictions(paths: Sequence[Path], returned: Sequence[_Returned]) -> list[ReviewProblem]:
    """Pairs that two of the workbooks decide otherwise: which of them is newer nobody knows."""
    said: dict[tuple[str, str, str], tuple[str, str]] = {}
    found = []
    for path, item in zip(paths, returned, strict=True):
        for made, _ in item.decisions:
            ends = (item.entity, made.left_key, made.right_key)
            before, where = said.setdefault(ends, (made.verdict, path.name))
            if before != made.verdict:
                told = {
                    "pair": f"{made.left_key} – {made.right_key}",
                    "message": f"this pair is {before} in {where} and {made.verdict} here",
                    "hint": "agree on one of them, and correct the other workbook",
                }
                found.append(ReviewProblem(file=path.name, line=item.lines[made.left_key, made.right_key], **told))
    return found


def _unreadable(answer: ReviewAnswer, before: tuple[PairDecision, str] | None) -> _Problem | None:
    if not answer.left_key or not answer.right_key:
        return _Problem("the keys of the two records are gone", "take the line from the workbook that went out")
    if answer.verdict is None:
        return _Problem(
            f"'{answer.written}' is no decision", "choose 相同 (same) or 不同 (different), or leave it empty"
        )
    if before is not None and answer.verdict and before[0].verdict != answer.verdict:
        return _Problem("this pair is there twice, with two decisions", "keep one of the two lines")
    return None


def _record(context: PhaseContext, item: _Returned, *, person: str, reason: str) -> None:
    journal, now = context.journal, context.clock()
    with journal.transaction() as connection:
        for note, decisions in _by_note(item.decisions):
            pair_decisions.record(
                connection,
                journal.project_id,
                item.entity,
                decisions,
                handout_id=item.handout_id,
                person=person,
                reason=f"{reason}{_REMARK}{note}" if note else reason,
                at=now,
            )
        if item.handout_id is not None:
            handouts.record_return(
                connection,
                journal.project_id,
                item.handout_id,
                answered=len(item.decisions),
                returned_by=person,
                returned_at=now,
            )
        counts = dict(Counter(made.verdict for made, _ in item.decisions))
        detail = {"decisions": counts, "reason": reason, "handout": item.handout_id}
        audit_trail.append(connection, journal.project_id, person, "review.decided", item.entity, detail)


def _by_note(decisions: Iterable[tuple[PairDecision, str]]) -> list[tuple[str, list[PairDecision]]]:
    found: dict[str, list[PairDecision]] = {}
    for made, note in decisions:
        found.setdefault(note, []).append(made)
    return sorted(found.items())
