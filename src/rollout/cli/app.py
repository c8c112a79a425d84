"""The `rollout` command: finds the verb, runs it, and turns whatever happens into an answer and an exit code.

Exit codes: 0 done; 1 a gate is not PASS, or rows are unknown or waiting; 2 configuration or usage; 3 an outside system
is unavailable; 70 a defect of this program; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rollout import __version__
from rollout.cli.logs import record_defect
from rollout.cli.verb import Invocation, write_json
from rollout.errors import RolloutError
from rollout.model.masking import mask_text

USAGE, DEFECT, INTERRUPTED = 2, 70, 130

VERBS = {
    "init": ("rollout.cli.init", "Make the folder of a new rollout project."),
    "check": ("rollout.cli.check", "Check the project file and its mappings; change nothing."),
    "demo-data": ("rollout.cli.demo_data", "Make up legacy data of any size for the demo company."),
    "prepare": ("rollout.cli.prepare", "Reach every system and record that the rollout is prepared."),
    "assess": ("rollout.cli.assess", "Profile the legacy data and list what is wrong with it."),
    "map": ("rollout.cli.map", "Suggest mappings, and have people confirm them in a workbook."),
    "cleanse": ("rollout.cli.cleanse", "Map, normalise and merge the legacy data into golden records."),
    "quarantine": ("rollout.cli.quarantine", "Hand out rows that were held back, and take in what people repaired."),
    "dormant": ("rollout.cli.dormant", "List records that nothing happened with for years, and decide about them."),
    "review": ("rollout.cli.review", "Have people decide which records are the same where matching does not."),
    "preflight": ("rollout.cli.preflight", "See what in the target would disturb the load, or undo it at night."),
    "automation": ("rollout.cli.automation", "Switch the target's own rules off for the load, and on again by a list."),
    "plan": ("rollout.cli.plan", "Compare with the target and plan every field that will change."),
    "compare-plans": ("rollout.cli.compare_plans", "Compare the plan with the one that was tried on another target."),
    "approve": ("rollout.cli.approve", "Approve a plan by name."),
    "load": ("rollout.cli.load", "Apply the approved plan to the target."),
    "rejects": ("rollout.cli.rejects", "See, repair and decide the rows that a load left over."),
    "delta": ("rollout.cli.delta", "Plan what changed since the load, leaving what people changed alone."),
    "undo": ("rollout.cli.undo", "Take back what a load did, without losing what people did since."),
    "verify": ("rollout.cli.verify", "Read back the target and judge the gates."),
    "sample": ("rollout.cli.sample", "Have people check a sample of the loaded records, a workbook for each checker."),
    "loadtest": ("rollout.cli.loadtest", "Put the CRM under the load of its future users and judge it."),
    "integrate": ("rollout.cli.integrate", "Play CRM, ERP and messaging through together, with fault drills."),
    "sync": ("rollout.cli.sync", "Carry what changed in the systems around the CRM into it."),
    "health": ("rollout.cli.health", "See whether the CRM is well and the syncs keep up; tell people if not."),
    "sync-check": ("rollout.cli.sync_check", "Compare the CRM with its sources and with what was loaded."),
    "retention": ("rollout.cli.retention", "Destroy what was kept to take loads back, once their time is over."),
    "monthly-report": ("rollout.cli.monthly_report", "Write the operation report of a month."),
    "demo": ("rollout.cli.demo", "Simulate months of operation on the testbed, with faults that must be found."),
    "unmerge": ("rollout.cli.unmerge", "Make a row that was merged away a record of its own."),
    "export": ("rollout.cli.export", "Take out what people did in the CRM, or a copy for a day without it."),
    "decide": ("rollout.cli.decide", "Record go or no-go about a phase, by name."),
    "status": ("rollout.cli.status", "Show every phase: its state, its verdict, and who must do what next."),
    "people": ("rollout.cli.people", "Keep the list of people who may decide."),
    "db": ("rollout.cli.db", "Start, stop or look at the embedded PostgreSQL."),
    "schema": ("rollout.cli.schema", "Write the JSON schemas of the project and mapping files, for editors."),
}
"""Verbs in the order of a rollout: module that defines ``command``, and its line in the help."""


class Verbs(click.Group):
    """Imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All verbs; nothing is imported."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The verb's command, or None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs, from the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, told) for name, (_, told) in VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rollout")
@click.option("--project", type=click.Path(path_type=Path), help="Project folder. Default: the nearest rollout.yaml.")
@click.option("--env", help="Environment of the project file to use.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object on stdout.")
@click.pass_obj
def app(invocation: Invocation, project: Path | None, env: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Take a company from its old customer data to a live CRM, with every row accounted for."""
    invocation.project_path, invocation.env, invocation.as_json = project, env, as_json


def run(arguments: Sequence[str]) -> int:
    """Run the command line; answers the exit code. Nothing but the answer reaches stdout under --json."""
    invocation = Invocation()
    as_json = "--json" in arguments  # needed before parsing: usage errors are answered in JSON, too
    stdout = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    try:
        with stdout:
            code, error = _run(invocation, arguments)
        if error is not None and not as_json:
            click.echo(_paragraph(error), err=True)
        elif as_json:
            write_json({"error": error} if error is not None else invocation.answer or {})
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    return code


def _run(invocation: Invocation, arguments: Sequence[str]) -> tuple[int, dict[str, Any] | None]:
    try:
        return int(app.main(list(arguments), "rollout", standalone_mode=False, obj=invocation) or 0), None
    except RolloutError as error:
        told = {"type": type(error).__name__, "message": error.message, "where": error.where, "hint": error.hint}
        return error.exit_code, told
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else "see `rollout --help`"
        return USAGE, {"type": "UsageError", "message": error.format_message(), "where": "", "hint": hint}
    except (click.Abort, KeyboardInterrupt):
        hint = "run the same command again; it goes on where it was"
        return INTERRUPTED, {"type": "Interrupted", "message": "interrupted", "where": "", "hint": hint}
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: a defect is recorded, not shown as a traceback
        path = record_defect(error, invocation.logs, run_id=invocation.run_id)
        message = f"unexpected {type(error).__name__}: {mask_text(str(error).splitlines()[0] if str(error) else '')}"
        hint = f"this is a defect; {path} holds the details (run {invocation.run_id})"
        return DEFECT, {"type": "Defect", "message": message, "where": "", "hint": hint}


def _paragraph(error: dict[str, Any]) -> str:
    text = f"{error['where']}: {error['message']}" if error["where"] else str(error["message"])
    return f"Error: {text}" + (f"\n→ {error['hint']}" if error["hint"] else "")
