"""Dormant records before people: listed, handed out as a workbook, decided by name; no plan is made before that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal import audit_trail, dormant, handouts, people
from rollout.match.parquet import quoted, scan
from rollout.model.base import Frozen
from rollout.model.masking import mask_field
from rollout.phases.cleansed import DormantRecords
from rollout.phases.cleansed_rows import LatestCleansing
from rollout.phases.context import PhaseContext, chosen_entities
from rollout.phases.dormant import CHOICES, EVERY
from rollout.phases.stages import engine
from rollout.project.spec import Language
from rollout.report.dormant_workbook import DormantLine, read_dormant, write_dormant
from rollout.report.messages import messages

KIND = "dormant"


class DormantEntity(Frozen):
    """The dormant records of an entity."""

    as_of: str
    after_years: float
    found: int
    undecided: int
    choices: dict[str, int] = Field(description="Records by what was decided.")
    last_seen: dict[str, int] = Field(description="Records by the year in which something last happened; or never.")


class DormantSummary(Frozen):
    """The dormant records as the latest cleansing found them."""

    entities: dict[str, DormantEntity]
    undecided: int
    file: str | None = Field(default=None, description="The workbook, where one was written.")


class DormantDecision(Frozen):
    """What was recorded."""

    entities: dict[str, dict[str, int]] = Field(description="By entity records by choice; `*`: all others.")
    not_dormant: tuple[str, ...] = Field(default=(), description="Keys that name no dormant record: nothing was done.")
    problems: tuple[str, ...] = Field(default=(), description="Any of them, and nothing was recorded.")


def list_dormant(context: PhaseContext) -> DormantSummary:
    """Count what the latest cleansing found.

    Raises:
        ConfigError: Nothing was cleansed, or no entity has a rule for dormant records.
    """
    latest = LatestCleansing(context)
    entities = {}
    with engine(latest.root) as connection:
        for name, found in _dormant(latest).items():
            years = connection.execute(
                "SELECT coalesce(CAST(year(last_on) AS VARCHAR), 'never'), count(*)"  # noqa: S608
                f" FROM {scan(latest.root / found.file)} GROUP BY 1 ORDER BY 1"
            ).fetchall()
            entities[name] = DormantEntity(
                as_of=found.as_of.isoformat(),
                after_years=latest.spec.dormant[name].after_years,
                found=found.found,
                undecided=found.undecided,
                choices=found.choices,
                last_seen=dict(years),
            )
    return DormantSummary(entities=entities, undecided=sum(found.undecided for found in entities.values()))


def export_dormant(context: PhaseContext, file: Path, *, language: Language | None = None) -> DormantSummary:
    """Write all dormant records as a workbook, and record that it went out."""
    spec, journal = context.project.spec, context.journal
    language = language or spec.project.languages[0]
    latest = LatestCleansing(context)
    lines = [line for name in _dormant(latest) for line in _lines(latest, name, language)]
    due_on = context.clock().astimezone(ZoneInfo(spec.project.time_zone)).date() + timedelta(spec.handouts.due_days)
    handout_id = handouts.new_id()
    as_of = max(found.as_of for found in _dormant(latest).values())
    info = {
        "project": spec.project.id,
        "handout": handout_id,
        "as_of": as_of.isoformat(),
        "due": due_on.isoformat(),
    }
    digest = write_dormant(file, lines, info=info, language=language)
    with journal.transaction() as connection:
        handouts.record_export(
            connection,
            journal.project_id,
            handout_id,
            kind=KIND,
            entity=None,
            recipient="-",
            rows=len(lines),
            due_on=due_on,
            file=str(file),
            sha256=digest,
            unmasked=False,
            exported_by=people.os_user(),
            exported_at=context.clock(),
        )
        audit_trail.append(
            connection,
            journal.project_id,
            people.os_user(),
            "dormant.exported",
            handout_id,
            {"rows": len(lines), "sha256": digest},
        )
    return list_dormant(context).model_copy(update={"file": str(file)})


def decide_dormant(
    context: PhaseContext,
    *,
    person: str,
    code: str,
    reason: str,
    files: Sequence[Path] = (),
    every: str | None = None,
    entities: Sequence[str] | None = None,
) -> DormantDecision:
    """Record what a person decided: by the lines of workbooks, or about all that no line names.

    Args:
        context: The phase's context.
        person: Who decided.
        code: Their personal code.
        reason: Why, in a sentence.
        files: Workbooks that were filled in.
        every: The choice for all others.
        entities: Of which entities that is; None: of all that have such a rule.

    Raises:
        ApprovalError: Wrong code, unknown person, no reason.
        ConfigError: Nothing is decided by this; a file is no such workbook, or another project's.
    """
    people.sign(context.journal, person, code, reason)
    if not files and every is None:
        raise ConfigError("nothing is decided", hint="give a workbook, or --all CHOICE")
    latest = LatestCleansing(context)
    choices: dict[str, dict[str, str]] = {name: {} for name in _dormant(latest)}
    told: list[str] = []
    not_dormant: list[str] = []
    returned = []
    for path in files:
        handout_id, answered = _take_in(latest, path, choices, told, not_dormant)
        returned.append((handout_id, answered))
    if told:
        return DormantDecision(entities={}, problems=tuple(told))
    if every is not None:
        for name in _chosen(context, entities, choices):
            choices[name][EVERY] = every
    journal, at = context.journal, context.clock()
    with journal.transaction() as connection:
        for name, chosen in choices.items():
            dormant.record(connection, journal.project_id, name, chosen.items(), person=person, reason=reason, at=at)
            counts = Counter("*" if key == EVERY else choice for key, choice in chosen.items())
            detail = {"choices": dict(counts), "every": chosen.get(EVERY), "reason": reason}
            if chosen:
                audit_trail.append(connection, journal.project_id, person, "dormant.decided", name, detail)
        for handout_id, answered in returned:
            handouts.record_return(
                connection, journal.project_id, handout_id, answered=answered, returned_by=person, returned_at=at
            )
    return DormantDecision(
        entities={name: _counted(chosen) for name, chosen in choices.items() if chosen}, not_dormant=tuple(not_dormant)
    )


def _dormant(latest: LatestCleansing) -> dict[str, DormantRecords]:
    found = {name: done.dormant for name, done in latest.done.items() if done.dormant is not None}
    if not found:
        raise ConfigError(
            "no entity has a rule for dormant records", where="dormant", hint="declare it, and run `rollout cleanse`"
        )
    return found


def _chosen(context: PhaseContext, entities: Sequence[str] | None, known: dict[str, dict[str, str]]) -> list[str]:
    chosen = [name for name in chosen_entities(context, entities) if name in known]
    if not chosen:
        raise ConfigError("this entity has no rule for dormant records", hint=f"those that have: {', '.join(known)}")
    return chosen


def _lines(latest: LatestCleansing, name: str, language: Language) -> Iterator[DormantLine]:
    """The records as the workbook shows them, longest silent first."""
    spec, done, t = latest.spec.entities[name], latest.done[name], messages(language)
    handed = latest.spec.handouts
    title = spec.fields[spec.title_field]
    assert done.dormant is not None
    with engine(latest.root) as connection:
        rows = connection.execute(
            f"SELECT d._golden_key, c.{quoted(spec.title_field)}, o.whose, r.whose, CAST(d.last_on AS VARCHAR),"  # noqa: S608
            f" d.last_kind, d.choice FROM {scan(latest.root / done.dormant.file)} AS d"
            f" LEFT JOIN {scan(latest.root / done.clean_file)} AS c ON c._source_key = d._golden_key"
            f" LEFT JOIN ({latest.golden_of(name, handed.owner)}) AS o ON o.golden_key = d._golden_key"
            f" LEFT JOIN ({latest.golden_of(name, handed.region)}) AS r ON r.golden_key = d._golden_key"
            " ORDER BY d.last_on NULLS FIRST, d._golden_key"
        ).fetchall()
    label = t.label(spec.label, spec.label_en)
    for key, shown, owner, region, last_on, kind, choice in rows:
        by = latest.spec.entities.get(kind or "")
        told = t.label(by.label, by.label_en) if by else (spec.fields[kind].label or kind) if kind else None
        masked = mask_field(title, shown)
        yield DormantLine(key, f"{name} {label}", masked, owner, region, last_on, told, choice)


def _take_in(
    latest: LatestCleansing,
    path: Path,
    choices: dict[str, dict[str, str]],
    told: list[str],
    not_dormant: list[str],
) -> tuple[str, int]:
    """Read a workbook into ``choices``; answers its handout and how many lines were answered."""
    info, lines = read_dormant(path)
    if info.get("project") != latest.spec.project.id:
        raise ConfigError(
            f"this workbook is of project '{info.get('project', '?')}'", where=path.name, hint="bring it in there"
        )
    journal = latest.context.journal
    with journal.transaction() as transaction:
        is_known = handouts.is_known(transaction, journal.project_id, info.get("handout", ""), kind=KIND)
    if not is_known:
        raise ConfigError("nobody handed out this workbook", where=path.name, hint="run `rollout dormant export` again")
    known = {}
    with engine(latest.root) as connection:
        for name, found in _dormant(latest).items():
            rows = connection.execute(f"SELECT _golden_key FROM {scan(latest.root / found.file)}").fetchall()  # noqa: S608
            known[name] = {key for (key,) in rows}
    for line in lines:
        if line.choice is None:
            told.append(f"{path.name}:{line.line}: the choice is none of {', '.join(CHOICES)}")
        elif line.key not in known.get(line.entity, ()):
            not_dormant.append(line.key)
        elif choices[line.entity].setdefault(line.key, line.choice) != line.choice:
            told.append(f"{path.name}:{line.line}: two different choices for {line.key}")
    return info.get("handout", ""), len(lines)


def _counted(chosen: dict[str, str]) -> dict[str, int]:
    return dict(Counter(f"* {choice}" if key == EVERY else choice for key, choice in chosen.items()))
