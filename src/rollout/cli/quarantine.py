"""`rollout quarantine`: rows that were held back go to the people who own them, and come back repaired."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from rollout.cli.signing import signed
from rollout.cli.tables import text_table
from rollout.cli.verb import Invocation, verb

if TYPE_CHECKING:
    from rollout.phases.quarantine_export import By
    from rollout.project.spec import Language


@click.group()
def command() -> None:
    """Hand out the rows that cleansing held back, and take in what people put right."""


@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--by", type=click.Choice(["owner", "region"]), default="owner", show_default=True, help="One for each.")
@click.option("--entity", "entities", multiple=True, help="Only of this entity; may be repeated.")
@click.option("--language", type=click.Choice(["zh", "en"]), help="Default: the project's first.")
@click.option("--unmasked", is_flag=True, help="Show personal data; the workbooks are encrypted (handouts.password).")
@click.option("--person", help="Who hands them out; needed with --unmasked.")
@click.option("--code", envvar="ROLLOUT_CODE", help="Their personal code; asked for with --unmasked.")
def _export(
    invocation: Invocation,
    *,
    folder: Path,
    by: str,
    entities: tuple[str, ...],
    language: str | None,
    unmasked: bool,
    person: str | None,
    code: str | None,
) -> int:
    """Write one workbook for each owner or region into FOLDER, and record that it went out."""
    from rollout.phases.quarantine_export import export_quarantine  # noqa: PLC0415 - heavy

    if unmasked and person and not code:
        code = click.prompt("Personal code", hide_input=True, err=True)
    with invocation.context() as context:
        done = export_quarantine(
            context,
            folder,
            by=cast("By", by),
            entities=entities or None,
            language=cast("Language | None", language),
            person=person,
            code=code,
            unmasked=unmasked,
        )
    rows = [[book.recipient or "–", f"{book.rows:,}", f"{book.problems:,}", book.file] for book in done.books]
    told = [text_table([by, "rows", "problems", "workbook"], rows)] if rows else ["Nothing in quarantine to repair."]
    if done.waiting:
        told.append(f"{done.waiting:,} rows wait for the record that they belong to; they are in no workbook.")
    if done.refused:
        told.append(f"{done.refused:,} rows are refused by a rule for good; they are in no workbook.")
    if rows:
        told.append(f"Due on {done.due_on}.\nNext: rollout quarantine import FILES --by NAME --reason TEXT")
    invocation.emit(done, text="\n".join(told))
    return 0


@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--password-env", help="Variable with the password of encrypted workbooks; default: handouts.password.")
@signed("Why, in a sentence; it is recorded.")
def _import(
    invocation: Invocation, *, files: tuple[Path, ...], password_env: str | None, person: str, code: str, reason: str
) -> int:
    """Take in workbooks that came back: every repaired row is judged again, and what holds is recorded.

    Exit 1 if something is still wrong.
    """
    import os  # noqa: PLC0415

    from rollout.phases.quarantine_import import RECORDED, import_quarantine  # noqa: PLC0415 - heavy

    if password_env is not None and password_env not in os.environ:
        raise click.UsageError(f"the variable {password_env} is not set")
    with invocation.context() as context:
        done = import_quarantine(
            context,
            files,
            person=person,
            code=code,
            reason=reason,
            password=os.environ[password_env] if password_env else None,
        )
    rows = [
        [f"{row.file}:{row.line}", row.entity, row.key, row.outcome.replace("_", " "), "; ".join(row.problems) or "–"]
        for row in done.rows
    ]
    told = text_table(["line", "entity", "row", "outcome", "still wrong"], rows) if rows else "Nothing was answered."
    counted = ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in done.outcomes.items())
    following = "\nNext: rollout cleanse" if done.recorded else ""
    invocation.emit(done, text=f"{told}\n{counted or 'no rows'}; {done.recorded:,} recorded by {person}.{following}")
    return 0 if all(row.outcome in RECORDED and not row.problems for row in done.rows) else 1


command.add_command(verb(_export), "export")
command.add_command(verb(_import), "import")
