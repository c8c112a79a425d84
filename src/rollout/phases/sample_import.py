"""What checkers found comes back: workbooks checked as a whole, signed by name, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from rollout.errors import ConfigError, DriftError
from rollout.journal import audit_trail, handouts, people, sample_checks
from rollout.journal.sample_checks import Scope
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.phases.sample import drawn_desk
from rollout.phases.sample_draw import sampled_entities
from rollout.report.sample_workbook import SampleAnswer, read_sample
from rollout.verify.people import PeopleResult


class SampleProblem(Frozen):
    """A line that cannot be taken."""

    file: str
    line: int
    message: str
    hint: str


class SampleImport(Frozen):
    """What came back."""

    target: str
    wave: str
    problems: tuple[SampleProblem, ...] = Field(default=(), description="Any of them, and nothing was recorded.")
    right: int = 0
    wrong: int = 0
    unanswered: int = Field(default=0, description="Lines of these workbooks without an answer.")
    people: tuple[PeopleResult, ...] = Field(
        default=(), description="What all answers prove until now; empty: the data were cleansed anew since the load."
    )


@dataclass(frozen=True)
class _Returned:
    """A workbook that came back, checked."""

    handout_id: str
    scope: Scope
    answers: tuple[tuple[str, str, str, str, str], ...]
    """(entity, migration key, verdict, seen, note)."""
    lines: Mapping[tuple[str, str], int]
    """By entity and migration key the line of the sheet."""
    unanswered: int


def import_sample(
    context: PhaseContext, paths: Sequence[Path], *, person: str, code: str, password: str | None = None
) -> SampleImport:
    """Record what people found: all lines of all workbooks, or nothing where one of them cannot be taken.

    The newest answer about a record counts. Lines without an answer are left open.

    Args:
        context: The phase's context.
        paths: The workbooks.
        person: Who vouches for the answers.
        code: Their personal code.
        password: Opens sealed workbooks; None: the project's `handouts.password`.

    Raises:
        ApprovalError: Wrong code, or unknown person.
        ConfigError: A file is no such workbook, or that of another project or target.
        Retryable: The database cannot be reached.
    """
    people.check(context.journal, person, code)
    target_name = context.target("verify")[0]
    problems: list[SampleProblem] = []
    returned = [
        _returned(context, path, target_name, password or context.project.spec.handouts.password, problems)
        for path in paths
    ]
    problems += _contradictions(paths, returned)
    waves = sorted({item.scope.wave for item in returned})
    if len(waves) > 1:
        told = ", ".join(waves)
        raise ConfigError(f"these workbooks are of several waves: {told}", hint="bring in those of one wave at a time")
    told_back = SampleImport(target=target_name, wave=waves[0])
    if problems:
        return told_back.model_copy(update={"problems": tuple(problems)})
    _record(context, returned, person)
    verdicts = [answer[2] for item in returned for answer in item.answers]
    return told_back.model_copy(
        update={
            "right": verdicts.count("right"),
            "wrong": verdicts.count("wrong"),
            "unanswered": sum(item.unanswered for item in returned),
            "people": _people_now(context, waves[0]),
        }
    )


def _returned(
    context: PhaseContext, path: Path, target_name: str, password: str | None, problems: list[SampleProblem]
) -> _Returned:
    book, lines = read_sample(path, password=password)
    info, project_id = book.info, context.journal.project_id
    for what, ours in (("project", context.project.spec.project.id), ("target", target_name)):
        if info.get(what) != ours:
            raise ConfigError(
                f"this workbook is of {what} '{info.get(what, '?')}', not '{ours}'",
                where=path.name,
                hint="bring it in where it was exported; its last sheet says what it is of",
            )
    handout_id = info.get("handout", "")
    with context.journal.transaction() as connection:
        asked = sample_checks.asked(connection, project_id, handout_id)
    if not asked:
        raise ConfigError(
            f"no workbook '{handout_id}' went out", where=path.name, hint="export one: rollout sample export DIR"
        )
    found = {}
    for line in lines:
        entity, _, key = line.key.partition("/")
        if problem := _problem(line, twice=line.key in found, known=(entity, key) in asked):
            problems.append(SampleProblem(file=path.name, line=line.line, message=problem[0], hint=problem[1]))
        elif line.verdict:
            found[line.key] = (entity, key, line.verdict, asked[entity, key], line.note)
    scope = Scope(project_id, target_name, info.get("wave", ""))
    places = {(entity, key): line.line for line in lines if line.key in found for entity, key in [found[line.key][:2]]}
    return _Returned(handout_id, scope, tuple(found.values()), places, len(asked) - len(found))


def _contradictions(paths: Sequence[Path], returned: Sequence[_Returned]) -> list[SampleProblem]:
    """Records that two of the workbooks answer otherwise: which of them is newer nobody knows."""
    said: dict[tuple[str, str], tuple[str, str]] = {}
    found = []
    for path, item in zip(paths, returned, strict=True):
        for entity, key, verdict, _, _ in item.answers:
            before, where = said.setdefault((entity, key), (verdict, path.name))
            if before != verdict:
                told = f"this record is {before} in {where} and {verdict} here"
                hint = "ask the checkers, and correct one of the workbooks"
                found.append(SampleProblem(file=path.name, line=item.lines[entity, key], message=told, hint=hint))
    return found


def _problem(line: SampleAnswer, *, twice: bool, known: bool) -> tuple[str, str] | None:
    """What keeps a line from being taken, and what to do."""
    if not known:
        return "this line is none of those that went out", "remove it; lines cannot be added"
    if line.verdict is None:
        return f"'{line.written}' is neither right nor wrong", "choose 正确 (right) or 错误 (wrong), or leave it empty"
    if twice and line.verdict:
        return "this record is there twice with an answer", "keep one of the two lines"
    if not line.verdict and line.note:
        return "there is a remark and no answer", "choose 正确 (right) or 错误 (wrong)"
    return None


def _record(context: PhaseContext, returned: Sequence[_Returned], person: str) -> None:
    journal, now = context.journal, context.clock()
    sealer = journal.new_data_key("sample")
    with journal.transaction() as connection:
        for item in returned:
            lines = [
                sample_checks.Line(
                    entity,
                    key,
                    verdict,
                    seen,
                    sealer.seal(note, sample_checks.note_place(entity, key)) if note else None,
                )
                for entity, key, verdict, seen, note in item.answers
            ]
            sample_checks.record(
                connection, item.scope, item.handout_id, lines, person=person, at=now, key_id=sealer.key_id
            )
            handouts.record_return(
                connection,
                journal.project_id,
                item.handout_id,
                answered=sample_checks.answered(connection, journal.project_id, item.handout_id),
                returned_by=person,
                returned_at=now,
            )
            verdicts = [line.verdict for line in lines]
            detail = {verdict: verdicts.count(verdict) for verdict in ("right", "wrong")}
            audit_trail.append(connection, journal.project_id, person, "sample.checked", item.handout_id, detail)


def _people_now(context: PhaseContext, wave: str) -> tuple[PeopleResult, ...]:
    """What all answers prove until now; nothing where what was loaded is no longer at hand."""
    target_name, _, target = context.target("verify")
    try:
        return drawn_desk(context, target_name, target, wave, sampled_entities(context)).people()
    except DriftError:
        return ()
