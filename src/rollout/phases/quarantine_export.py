"""The quarantine goes out: one workbook a recipient, each recorded with its deadline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from rollout.errors import ApprovalError, ConfigError
from rollout.journal import audit_trail, handouts, people
from rollout.journal.crypto import Sealer
from rollout.model.base import Frozen
from rollout.phases.cleansed_rows import LatestCleansing
from rollout.phases.context import PhaseContext, chosen_entities
from rollout.phases.quarantine_rows import HeldRow, held_rows
from rollout.project.spec import Language
from rollout.report.files import write_list
from rollout.report.messages import messages
from rollout.report.quarantine_workbook import PREFIX, ProblemLine, problem_cells, write_quarantine
from rollout.report.workbook_cells import file_names

KIND = "quarantine"
_RULE = re.compile(r"\(([^()]*)\)$")
_LISTED = ("key", "place", "title", "field", "value", "reason_code", "reason", "hint")

By = Literal["owner", "region"]


class ExportedBook(Frozen):
    """A workbook that was written."""

    recipient: str = Field(description="The owner or region; empty: nobody is known for these rows.")
    file: str
    rows: int
    problems: int


class QuarantineExport(Frozen):
    """What went out."""

    by: By
    unmasked: bool
    due_on: date
    books: tuple[ExportedBook, ...]
    rows: int
    waiting: int = Field(description="Rows that are in no workbook: they wait for the record that they belong to.")
    refused: int = Field(description="Rows that are in no workbook: a rule refuses them for good.")


class QuarantineList(Frozen):
    """The quarantine of an entity as a list."""

    entity: str
    file: str
    rows: int
    problems: int


def export_quarantine(
    context: PhaseContext,
    folder: Path,
    *,
    by: By,
    entities: Sequence[str] | None = None,
    language: Language | None = None,
    person: str | None = None,
    code: str | None = None,
    unmasked: bool = False,
) -> QuarantineExport:
    """Write one workbook for each owner or region that has rows in quarantine.

    Args:
        context: The phase's context.
        folder: Where to; made if it is not there.
        by: Whom the workbooks are for.
        entities: Only of these; None: of all.
        language: Of the workbooks; default: the project's first.
        person: Who hands them out; it is recorded.
        code: Their personal code; needed where personal data is shown.
        unmasked: Show personal data. The workbooks are then encrypted with the password of `handouts`.

    Raises:
        ApprovalError: Personal data is to be shown, and nobody stands for it.
        ConfigError: Nothing was cleansed; the project has no such field or no password.
    """
    spec = context.project.spec
    field = spec.handouts.owner if by == "owner" else spec.handouts.region
    if not any(field in entity.fields for entity in spec.entities.values()):
        raise ConfigError(f"no entity has the field '{field}'", where=f"handouts.{by}", hint="name one that has it")
    password = _password(context, person, code) if unmasked else None
    latest = LatestCleansing(context)
    found = [held_rows(latest, entity, field) for entity in chosen_entities(context, entities)]
    due_on = context.clock().astimezone(ZoneInfo(spec.project.time_zone)).date() + timedelta(spec.handouts.due_days)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    by_recipient: dict[str, list[HeldRow]] = {}
    for row in (row for held in found for row in held.rows):
        by_recipient.setdefault(row.whose or "", []).append(row)
    desk = _Desk(
        context,
        folder,
        by,
        due_on,
        language or spec.project.languages[0],
        person or people.os_user(),
        password,
        context.journal.ledger_sealer(),
    )
    names = file_names(sorted(desk.shown(recipient) for recipient in by_recipient))
    books = tuple(
        desk.write(recipient, rows, names[desk.shown(recipient)]) for recipient, rows in sorted(by_recipient.items())
    )
    return QuarantineExport(
        by=by,
        unmasked=unmasked,
        due_on=due_on,
        books=books,
        rows=sum(book.rows for book in books),
        waiting=sum(held.waiting for held in found),
        refused=sum(held.refused for held in found),
    )


def list_quarantine(context: PhaseContext, entity: str, file: Path | None) -> QuarantineList:
    """Write an entity's quarantine as CSV, a line a problem; personal data masked.

    Args:
        context: The phase's context.
        entity: Whose.
        file: Where to; None: into the workspace's reports.

    Raises:
        ConfigError: There is no such entity, or nothing was cleansed.
    """
    (name,) = chosen_entities(context, [entity])
    file = file or context.project.workspace.reports / f"quarantine-{name}.csv"
    latest = LatestCleansing(context)
    held = held_rows(latest, name, None, everything=True)
    t = messages(context.project.spec.project.languages[0])
    lines = list(problem_lines(held.rows, None))
    spec = context.project.spec.entities[name]
    cells = (problem_cells(line, spec, t, unmasked=False) | {"reason_code": line.reason_code} for line in lines)
    write_list(file.parent, file.name, _LISTED, ([row.get(name) or "" for name in _LISTED] for row in cells))
    return QuarantineList(entity=name, file=str(file), rows=len(held.rows), problems=len(lines))


@dataclass(frozen=True)
class _Desk:
    """Writes and records workbooks."""

    context: PhaseContext
    folder: Path
    by: By
    due_on: date
    language: Language
    person: str
    password: str | None
    sealer: Sealer

    def shown(self, recipient: str) -> str:
        """What people call a recipient."""
        return recipient or messages(self.language)(f"{PREFIX}.unassigned")

    def write(self, recipient: str, rows: Sequence[HeldRow], name: str) -> ExportedBook:
        """Write one recipient's workbook, and record that it went out."""
        spec, journal = self.context.project.spec, self.context.journal
        t = messages(self.language)
        handout_id, shown = handouts.new_id(), self.shown(recipient)
        path = self.folder / f"{t(f'{PREFIX}.file')}_{name}.xlsx"
        lines = list(problem_lines(rows, self.sealer))
        info = {
            "project": spec.project.id,
            "handout": handout_id,
            "recipient": shown,
            "by": self.by,
            "due": self.due_on.isoformat(),
        }
        digest = write_quarantine(
            path,
            lines,
            spec.entities,
            info=info,
            language=self.language,
            unmasked=self.password is not None,
            password=self.password,
        )
        named = {row.entity for row in rows}
        with journal.transaction() as connection:
            handouts.record_export(
                connection,
                journal.project_id,
                handout_id,
                kind=KIND,
                entity=named.pop() if len(named) == 1 else None,
                recipient=shown,
                rows=len(rows),
                due_on=self.due_on,
                file=str(path),
                sha256=digest,
                unmasked=self.password is not None,
                exported_by=self.person,
                exported_at=self.context.clock(),
            )
            detail = {"rows": len(rows), "unmasked": self.password is not None, "sha256": digest, "file": path.name}
            audit_trail.append(connection, journal.project_id, self.person, "quarantine.exported", handout_id, detail)
        return ExportedBook(recipient=recipient, file=str(path), rows=len(rows), problems=len(lines))


def problem_lines(rows: Iterable[HeldRow], sealer: Sealer | None) -> Iterable[ProblemLine]:
    """A line a problem; a row's version is a keyed digest, so that nobody guesses at what is masked."""
    for row in rows:
        version = version_of(row.row_hash, sealer) if sealer else ""
        for problem in row.problems:
            rule = _RULE.search(problem.message) if problem.reason_code.startswith("rule_") else None
            yield ProblemLine(
                key=row.source_key,
                entity=row.entity,
                place=f"{row.file}:{row.line}",
                title=row.title,
                field=problem.field,
                value=problem.value,
                reason_code=problem.reason_code,
                rule=rule[1] if rule else "",
                version=version,
            )


def version_of(row_hash: str, sealer: Sealer) -> str:
    """What stands for a row's content in a workbook and in the journal."""
    return sealer.digest(row_hash.encode())


def _password(context: PhaseContext, person: str | None, code: str | None) -> str:
    """The password of workbooks that show personal data, once somebody stands for it."""
    password = context.project.spec.handouts.password
    if not password:
        raise ConfigError(
            "personal data leaves in encrypted workbooks only, and there is no password",
            where="handouts.password",
            hint="set it as ${env:NAME}, or leave --unmasked out",
        )
    if not person or not code:
        raise ApprovalError(
            "somebody has to stand for personal data that leaves", hint="add --person NAME; their code is asked for"
        )
    people.check(context.journal, person, code)
    return password
