"""`rollout export`: what people did in the CRM, to be carried forward; and a copy for a day without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from rollout.cli.signing import signed
from rollout.cli.verb import Invocation, verb


@click.group()
def command() -> None:
    """Take data out: of the CRM by name and with a reason, in clear; and what matching decided, as CSV."""


_WHY = "What it is needed for, in a sentence; it is recorded."


@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]),
    help="In the project's time zone. Default: the first go of pilot or go-live, when users were let in.",
)
@signed(_WHY)
def _since_cutover(invocation: Invocation, *, person: str, code: str, reason: str, since: datetime | None) -> int:
    """Write what people created and changed in the CRM since they were let in, in the legacy system's format.

    Each file has the columns and the kind of the source that it goes back to. What has no place there is listed in
    not-carried.csv with the CRM's value: exit 1 then.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from rollout.phases.export_since_cutover import export_since_cutover  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        zone = ZoneInfo(context.project.spec.project.time_zone)
        at = since.replace(tzinfo=zone) if since else None
        summary = export_since_cutover(context, person=person, code=code, reason=reason, since=at)
    lines = [
        f"{name}: {found.created:,} created, {found.changed:,} changed, {found.gone:,} gone,"
        f" {found.not_carried:,} values not carried"
        for name, found in summary.entities.items()
    ]
    lines += [f"{name}: {count:,} created, as the CRM has them" for name, count in summary.others.items()]
    lines += [f"  {file}{f' ({remark})' if remark else ''}" for file, remark in summary.files.items()]
    invocation.emit(summary, text="\n".join([*lines, f"In {summary.folder}, since {summary.since:%Y-%m-%d %H:%M %Z}"]))
    return 1 if any(found.not_carried for found in summary.entities.values()) else 0


@signed(_WHY)
def _offline_customers(invocation: Invocation, *, person: str, code: str, reason: str) -> int:
    """Write a workbook of all customers with their contacts, to work on while the CRM cannot be reached."""
    from rollout.phases.offline_customers import export_offline_customers  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = export_offline_customers(context, person=person, code=code, reason=reason)
    told = ", ".join(f"{count:,} {name}" for name, count in summary.entities.items())
    invocation.emit(summary, text=f"{told} in {summary.file}. It holds personal data: delete it after use.")
    return 0


command.add_command(verb(_since_cutover), "since-cutover")


def _match(what: str, told: str) -> Callable[..., int]:
    """A verb that writes what matching decided as CSV."""

    @click.option("--entity", required=True, help="Whose.")
    @click.option(
        "--file", type=click.Path(path_type=Path, dir_okay=False), help="Default: in the workspace's reports."
    )
    @click.option("--why", is_flag=True, help="Also the row that each is tied to, and what was compared.")
    def export(invocation: Invocation, *, entity: str, file: Path | None, why: bool) -> int:
        from rollout.phases.match_exports import export_match  # noqa: PLC0415 - heavy

        with invocation.context() as context:
            summary = export_match(context, what, entity, file=file, why=why)
        invocation.emit(summary, text=f"{summary.rows:,} lines in {summary.file}")
        return 0

    export.__doc__ = told
    return export


@click.option("--entity", required=True, help="Whose.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Default: in the workspace's reports.")
def _quarantine(invocation: Invocation, *, entity: str, file: Path | None) -> int:
    """Write the rows in quarantine as CSV, a line a problem; personal data masked."""
    from rollout.phases.quarantine_export import list_quarantine  # noqa: PLC0415 - heavy

    with invocation.context() as context:
        summary = list_quarantine(context, entity, file)
    invocation.emit(summary, text=f"{summary.rows:,} rows with {summary.problems:,} problems in {summary.file}")
    return 0


command.add_command(verb(_offline_customers), "offline-customers")
command.add_command(verb(_quarantine), "quarantine")
command.add_command(verb(_match("merge-map", "Write which rows were merged into which, and why, as CSV.")), "merge-map")
command.add_command(verb(_match("review-queue", "Write the pairs that wait for people as CSV.")), "review-queue")
