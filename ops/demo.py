"""``make demo``: the main job on the made-up company, from legacy files to a verified CRM.

Runs assess → cleanse → plan → approve → import → verify as Prefect flow runs, which ``make ui`` shows afterwards.
PostgreSQL and the testbed CRM stay up, so that ``rollout --project demo …`` works from any shell; ``make stop`` ends
them.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from processes import ServiceError
from rich.console import Console
from rich.markup import escape
from services import PREFECT, ROOT, TESTBED, UI, Services

from rollout.cli import tables
from rollout.errors import RolloutError
from rollout.journal import people
from rollout.model.verdict import Verdict
from rollout.phases.context import open_context
from rollout.phases.verify import VerifySummary
from rollout.project.loader import load_project
from rollout.project.local_env import read_local_env, write_local_env

if TYPE_CHECKING:
    from prefect import State

PROJECT = ROOT / "demo"
PERSON = "演示负责人 (demo)"
CODE = "ROLLOUT_DEMO_CODE"
HEAVY = ("rollout.assess.profile", "rollout.match.exact", "rollout.verify.suites")
"""Seconds to import, and wanted as soon as the services are up."""
QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # its logs are shown in its own pages
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_CLIENT_MAX_RETRIES": "2",  # a server on this machine that is gone stays gone
}
REASON = "demo on made-up data: approved by the script that made the data"
console = Console(highlight=False)


class DemoError(Exception):
    """A phase did not end as the demo needs it."""


class LostPrefectError(DemoError):
    """The Prefect server is gone or no longer answers."""


def main() -> int:
    """Run the demo. Answers the exit code: 0 only if every gate is PASS."""
    begun_s = time.monotonic()
    console.rule("恒泰精工 · Hengtai Precision: a made-up company, all its data is generated")
    try:
        services = Services.of(PROJECT)
        with console.status("starting PostgreSQL, the testbed CRM and Prefect …"):
            services.start_database()
            with ThreadPoolExecutor(2) as pool:
                starting = pool.submit(services.start_prefect)
                importing = pool.submit(lambda: [importlib.import_module(name) for name in HEAVY])
                services.start_testbed()
                prefect, is_ours = starting.result()
                importing.result()
            if is_ours:
                atexit.register(_stop_prefect, services)  # after Prefect's client has sent its last logs
        os.environ.update(services.prefect_environment(prefect.address))
        os.environ |= QUIET
        summary = _run_phases(services)
    except LostPrefectError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        services.processes.stop(PREFECT)
        sys.stdout.flush()
        os._exit(3)  # at a regular exit Prefect's client tries for minutes to send its last logs to nobody
    except (RolloutError, ServiceError, DemoError) as error:
        console.print(str(error), style="red", markup=False)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        console.print(
            "\ninterrupted; what was done is kept: `make demo` goes on from there, `make stop` ends what runs"
        )
        return 130
    _show_end(services, summary, time.monotonic() - begun_s)
    return 0 if all(gate.verdict is Verdict.PASS for gate in summary.gates) else 1


def _stop_prefect(services: Services) -> None:
    """Unless a `make ui` that was started meanwhile shows it; `make stop` ends it then."""
    if not services.processes.running(UI):
        services.processes.stop(PREFECT)


def _approver() -> str:
    """The personal code of the demo's person; a person of one's own is added by `rollout people add`."""
    project = load_project(PROJECT / "rollout.yaml")
    code = read_local_env(project.workspace.root).get(CODE)
    with open_context(project) as context:
        if code is None or PERSON not in people.names(context.journal):
            code = people.add(context.journal, PERSON, replace=True)
            write_local_env(project.workspace.root, {CODE: code})
    return code


def _run_phases(services: Services) -> VerifySummary:
    """Each phase as a flow run. Imported here: Prefect reads where its server is when it is first imported."""
    from pydantic import SecretStr  # noqa: PLC0415

    from flows.approve import ApproveOptions, approve_plan  # noqa: PLC0415
    from flows.assess import AssessOptions, assess  # noqa: PLC0415
    from flows.cleanse import CleanseOptions, cleanse  # noqa: PLC0415
    from flows.load import LoadOptions, load  # noqa: PLC0415
    from flows.plan import PlanOptions, plan  # noqa: PLC0415
    from flows.verify import VerifyOptions, verify  # noqa: PLC0415

    project = str(services.project.root)
    _phase(services, "assess", assess, AssessOptions(project=project))
    _phase(services, "cleanse", cleanse, CleanseOptions(project=project))
    plan_id = _phase(services, "plan", plan, PlanOptions(project=project)).plan_id
    approval = ApproveOptions(
        project=project, plan_id=plan_id, person=PERSON, code=SecretStr(_approver()), reason=REASON, go_on=False
    )
    _phase(services, "approve", approve_plan, approval)
    loaded = _phase(services, "import", load, LoadOptions(project=project, plan_id=plan_id))
    verified = _phase(services, "verify", verify, VerifyOptions(project=project))
    _print_table(tables.conservation(loaded.entities))
    return verified


def _phase(services: Services, name: str, flow: Callable[..., State[Any]], options: Any) -> Any:
    """Run one flow, tell how it ended, and answer its summary."""
    begun_s = time.monotonic()
    try:
        with console.status(f"{name} …"):
            state = flow(options, return_state=True)
    except Exception:
        if services.prefect_answers():
            raise
        raise _lost_prefect(services, name) from None
    mark = "[green]✓[/]" if state.is_completed() else "[red]✗[/]"
    said = escape(state.message or state.name or "")
    console.print(f"{mark} {name:8} {time.monotonic() - begun_s:5.1f} s  {said}")
    summary = state.result(raise_on_failure=False)
    if not state.is_completed() and not isinstance(summary, VerifySummary):
        if not services.prefect_answers():
            raise _lost_prefect(services, name)
        raise DemoError(f"{name} ended as {state.name}: {state.message}")
    return summary


def _lost_prefect(services: Services, name: str) -> LostPrefectError:
    log = services.processes.logs / f"{PREFECT}.log"
    return LostPrefectError(
        f"the Prefect server was lost during {name}; its log: {log}\n"
        "Nothing is lost of the rollout: its state is in the journal. → run `make demo` again"
    )


def _print_table(text: str) -> None:
    console.print(f"\n{text}", markup=False)


def _show_end(services: Services, summary: VerifySummary, seconds: float) -> None:
    for gate in summary.gates:
        _print_table(tables.gate(gate))
    console.print("Reports:")
    for report in sorted(services.workspace.reports.rglob("*.html")):
        console.print(f"  {report}", soft_wrap=True)
    testbed = services.processes.running(TESTBED)
    console.print(
        f"\nThe CRM that was filled: {testbed.address if testbed else '–'} (still running, as is PostgreSQL)\n"
        + ("" if services.processes.running(UI) else "See the runs in the browser:  make ui\n")
        + "Ask the command line:         .venv/bin/rollout --project demo load --json\n"
        f"Stop what still runs:         make stop\n{seconds:.0f} s in all"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # `flows` is a package of the checkout
    sys.exit(main())
