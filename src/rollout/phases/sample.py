"""People check a sample of the loaded records: a workbook for each checker goes out; how far the check is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal import audit_trail, handouts, people, sample_checks
from rollout.journal.plans import PlanRecord
from rollout.journal.sample_checks import Check, Scope
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext, TargetConnector
from rollout.phases.golden import golden_paths
from rollout.phases.leases import working_on
from rollout.phases.readback import ReadBack
from rollout.phases.readback import loaded_plan as latest_plan
from rollout.phases.sample_draw import KIND, Drawn, answers, drawn, limit_of, sampled_entities, standing
from rollout.phases.sample_rows import SampleRows
from rollout.project.spec import Language
from rollout.report.messages import messages
from rollout.report.sample_workbook import SampleLine, write_sample
from rollout.report.workbook_cells import file_names
from rollout.verify.people import PeopleResult

By = Literal["owner", "region", "all"]


class SampleFile(Frozen):
    """A workbook that went to a checker."""

    handout_id: str
    checker: str
    file: str
    rows: int


class SampleExport(Frozen):
    """What went out."""

    target: str
    wave: str
    due_on: date
    files: tuple[SampleFile, ...]
    unmasked: bool
    proves: float = Field(description="Share (0 to 1) of each entity that at most is wrong if nothing wrong is found.")
    people: tuple[PeopleResult, ...]


class SampleHandout(Frozen):
    """A workbook that is out, or came back."""

    handout_id: str
    checker: str
    rows: int
    answered: int
    due_on: date | None
    returned_by: str | None


class SampleStanding(Frozen):
    """How far the check by people is."""

    target: str
    wave: str
    proves: float
    people: tuple[PeopleResult, ...]
    handouts: tuple[SampleHandout, ...]


@dataclass(frozen=True)
class Desk:
    """The loaded records of a wave, and what was drawn of them."""

    context: PhaseContext
    target: TargetConnector
    plan: PlanRecord
    golden: Mapping[str, Path]
    samples: tuple[Drawn, ...]

    @property
    def scope(self) -> Scope:
        """What checks are about."""
        return Scope(self.context.journal.project_id, self.plan.target, self.plan.wave)

    def people(self) -> tuple[PeopleResult, ...]:
        """What all answers prove until now."""
        return tuple(standing(self.context, self.plan, sample) for sample in self.samples)


@contextmanager
def _desk(context: PhaseContext, wave: str | None, entities: tuple[str, ...] | None = None) -> Iterator[Desk]:
    target_name, _, target = context.target("verify")
    with working_on(context, target_name, target):
        yield drawn_desk(context, target_name, target, wave, sampled_entities(context, entities))


def drawn_desk(
    context: PhaseContext, target_name: str, target: TargetConnector, wave: str | None, names: Sequence[str]
) -> Desk:
    """Draw the sample of a wave's loaded records. Raises ConfigError, DriftError as :func:`export_sample`."""
    plan = latest_plan(context, target_name, wave)
    reader = ReadBack(context, plan, target, "sample")
    golden = {name: reader.repairs.golden_path(name, path) for name, path in golden_paths(context).items()}
    samples = tuple(drawn(context, name, reader.crosswalk(name), golden[name]) for name in names)
    return Desk(context, target, plan, golden, samples)


def export_sample(
    context: PhaseContext,
    folder: Path,
    *,
    by: By = "owner",
    wave: str | None = None,
    entities: tuple[str, ...] | None = None,
    unmasked: bool = False,
    again: bool = False,
    language: Language | None = None,
) -> SampleExport:
    """Write a workbook for each checker, of the drawn records that nobody has judged as they are now.

    Args:
        context: The phase's context.
        folder: Where the workbooks go; made if it is not there.
        by: Who checks a record: its owner, else its region's checker, else one for all; `region` and `all` begin
            further down that list. A record without an owner of its own has that of the record it refers to.
        wave: Its name; None: the wave whose load was begun last.
        entities: Only these.
        unmasked: Show personal data as it is, sealed by the project's `handouts.password`.
        again: Also the records that were judged, with what was said.
        language: Of the workbooks; None: the project's first.

    Raises:
        ConfigError: Nothing was loaded yet, an entity is unknown, or there is no password to seal with.
        DriftError: The data were cleansed anew since the load.
        LeaseHeld: Somebody plans, loads or cleanses.
        Retryable: The target or the database cannot be reached.
    """
    spec = context.project.spec
    password = spec.handouts.password if unmasked else None
    if unmasked and not password:
        raise ConfigError(
            "workbooks with unmasked personal data are sealed, and the project has no password for them",
            where="rollout.yaml: handouts.password",
            hint='add it as "${env:NAME}", or leave out --unmasked',
        )
    shown_in: Language = language or spec.project.languages[0]
    with _desk(context, wave, entities) as desk:
        lines = _by_checker(desk, by, unmasked=unmasked, again=again, language=shown_in)
        make_folder(folder)
        now = context.clock()
        due_on = now.astimezone(ZoneInfo(spec.project.time_zone)).date() + timedelta(days=spec.handouts.due_days)
        names = file_names(sorted(lines))
        files = tuple(
            _hand_out(desk, folder / name, checker, lines[checker], due_on=due_on, password=password, language=shown_in)
            for checker, word in names.items()
            for name in [f"sample-{desk.plan.wave}-{word}.xlsx"]
        )
        return SampleExport(
            target=desk.plan.target,
            wave=desk.plan.wave,
            due_on=due_on,
            files=files,
            unmasked=unmasked,
            proves=limit_of(spec),
            people=desk.people(),
        )


def make_folder(folder: Path) -> None:
    """Make a folder for workbooks, for its owner's eyes only. Raises ConfigError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"the folder cannot be made ({error.strerror})", where=str(folder), hint="name another"
        ) from error
    if not os.access(folder, os.W_OK):
        raise ConfigError("nothing can be written there", where=str(folder), hint="name another folder")


def _by_checker(desk: Desk, by: By, *, unmasked: bool, again: bool, language: Language) -> dict[str, list[SampleLine]]:
    context = desk.context
    rows = SampleRows(context, desk.target, desk.golden, unmasked)
    sealer, nobody = context.journal.ledger_sealer(), messages(language)("sample.unassigned")
    found: dict[str, list[SampleLine]] = {}
    for sample in desk.samples:
        given = answers(context, desk.plan, sample)
        valid = {
            record.migration_key
            for record in sample.records
            if (check := given.get(record.migration_key)) and check.seen == record.seen(sealer)
        }
        wanted = [record for record in sample.records if again or record.migration_key not in valid]
        for who, line in rows.lines(sample, wanted) if wanted else ():
            said = given[line.migration_key] if line.migration_key in valid else None
            found.setdefault(who.checker(by) or nobody, []).append(_with_answer(context, line, said))
    return found


def _with_answer(context: PhaseContext, line: SampleLine, check: Check | None) -> SampleLine:
    """The line with what was said about it before."""
    if check is None:
        return line
    note, sealer = "", context.journal.sealer_if_kept(check.key_id) if check.key_id else None
    if sealer is not None and check.note is not None:
        note = str(sealer.open(check.note, sample_checks.note_place(line.entity, line.migration_key)))
    return replace(line, verdict=check.verdict, note=note)


def _hand_out(
    desk: Desk,
    path: Path,
    checker: str,
    lines: Sequence[SampleLine],
    *,
    due_on: date,
    password: str | None,
    language: Language,
) -> SampleFile:
    context, spec = desk.context, desk.context.project.spec
    handout_id, now = handouts.new_id(), context.clock()
    t = messages(language)
    sha256 = write_sample(
        path,
        lines,
        labels={name: t.label(entity.label, entity.label_en) for name, entity in spec.entities.items()},
        info={
            "project": spec.project.id,
            "target": desk.plan.target,
            "wave": desk.plan.wave,
            "checker": checker,
            "handout": handout_id,
            "due_on": due_on.isoformat(),
            "exported_at": now.isoformat(timespec="seconds"),
        },
        language=language,
        password=password,
    )
    sealer = context.journal.ledger_sealer()
    seen = {(sample.entity, row.migration_key): row.seen(sealer) for sample in desk.samples for row in sample.records}
    with context.journal.transaction() as connection:
        handouts.record_export(
            connection,
            context.journal.project_id,
            handout_id,
            kind=KIND,
            entity=None,
            recipient=checker,
            rows=len(lines),
            due_on=due_on,
            file=path.name,
            sha256=sha256,
            unmasked=password is not None,
            exported_by=people.os_user(),
            exported_at=now,
        )
        sample_checks.record(
            connection,
            desk.scope,
            handout_id,
            (
                sample_checks.Line(
                    line.entity, line.migration_key, sample_checks.ASKED, seen[line.entity, line.migration_key]
                )
                for line in lines
            ),
            person=people.os_user(),
            at=now,
        )
        audit_trail.append(
            connection,
            context.journal.project_id,
            people.os_user(),
            "sample.exported",
            handout_id,
            {"checker": checker, "rows": len(lines), "sha256": sha256, "unmasked": password is not None},
        )
    return SampleFile(handout_id=handout_id, checker=checker, file=str(path), rows=len(lines))


def sample_standing(context: PhaseContext, *, wave: str | None = None) -> SampleStanding:
    """How far the check by people is, and what it proves until now. Raises as :func:`export_sample`."""
    with _desk(context, wave) as desk:
        with context.journal.transaction() as connection:
            out = handouts.handed_out(connection, context.journal.project_id, kind=KIND)
        return SampleStanding(
            target=desk.plan.target,
            wave=desk.plan.wave,
            proves=limit_of(context.project.spec),
            people=desk.people(),
            handouts=tuple(
                SampleHandout(
                    handout_id=item.handout_id,
                    checker=item.recipient,
                    rows=item.rows,
                    answered=item.answered,
                    due_on=item.due_on,
                    returned_by=item.returned_by,
                )
                for item in out
            ),
        )
