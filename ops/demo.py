"""``make demo``: a whole rollout of the made-up company, from legacy files to a CRM in operation.

Prepare, two waves with everything in between, go-live, one night and one report, as Prefect flow runs that ``make ui``
shows afterwards. PostgreSQL and the testbed CRM stay up, so that ``rollout --project demo …`` works from any shell;
``make stop`` ends them.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from demo_company import Company
from processes import ServiceError
from rich.console import Console
from services import PREFECT, ROOT, TESTBED, UI, Services

from rollout.cli.status import status_text
from rollout.errors import RolloutError
from rollout.journal import people
from rollout.phases.context import open_context
from rollout.phases.status import rollout_status
from rollout.project.loader import load_project
from rollout.project.local_env import read_local_env, write_local_env
from rollout.report.status import RolloutStatus

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
console = Console(highlight=False)


def main() -> int:
    """Run the demo. Answers the exit code: 0 only if the rollout is through."""
    begun_s = time.monotonic()
    console.rule("恒泰精工 · Hengtai Precision: a made-up company, all its data is generated")
    try:
        services = Services.of(PROJECT)
        with console.status("starting PostgreSQL, the testbed CRM and Prefect …"):
            services.start_database()
            with ThreadPoolExecutor(2) as pool:
                starting = pool.submit(services.start_prefect)
                importing = pool.submit(lambda: [importlib.import_module(name) for name in HEAVY])
                testbed, _ = services.start_testbed()
                prefect, is_ours = starting.result()
                importing.result()
            if is_ours:
                atexit.register(_stop_prefect, services)  # after Prefect's client has sent its last logs
        os.environ.update(services.prefect_environment(prefect.address))
        os.environ |= QUIET
        status = _tell(services, testbed.address)
    except (RolloutError, ServiceError) as error:
        console.print(str(error), style="red", markup=False)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        console.print(
            "\ninterrupted; what was done is kept: `make demo` goes on from there, `make stop` ends what runs"
        )
        return 130
    if status is None:
        return 1
    _show_end(services, status, time.monotonic() - begun_s)
    return 0


def _stop_prefect(services: Services) -> None:
    """Unless a `make ui` that was started meanwhile shows it; `make stop` ends it then."""
    if not services.processes.running(UI):
        services.processes.stop(PREFECT)


def _tell(services: Services, crm_address: str) -> RolloutStatus | None:
    """Walk through the rollout; answers where it is then, or None if a phase did not end as it should."""
    # Only now: Prefect reads where its server is when it is first imported.
    from demo_story import DemoError, LostPrefectError, Story  # noqa: PLC0415

    project = load_project(PROJECT / "rollout.yaml")
    company = Company(crm_address, read_local_env(project.workspace.root)["ROLLOUT_TESTBED_PASSWORD"])
    try:
        Story(services, company, PERSON, _personal_code(), console).tell()
    except LostPrefectError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        services.processes.stop(PREFECT)
        sys.stdout.flush()
        os._exit(3)  # at a regular exit Prefect's client tries for minutes to send its last logs to nobody
    except DemoError as error:
        console.print(str(error), style="red", markup=False)
        return None
    with open_context(project) as context:
        return rollout_status(context)


def _personal_code() -> str:
    """The code of the demo's person; a person of one's own is added by `rollout people add`."""
    project = load_project(PROJECT / "rollout.yaml")
    code = read_local_env(project.workspace.root).get(CODE)
    with open_context(project) as context:
        if code is None or PERSON not in people.names(context.journal):
            code = people.add(context.journal, PERSON, replace=True)
            write_local_env(project.workspace.root, {CODE: code})
    return code


def _show_end(services: Services, status: RolloutStatus, seconds: float) -> None:
    console.print(f"\n{status_text(status)}", markup=False, soft_wrap=True)
    console.print("\nReports:")
    for report in sorted(services.workspace.reports.rglob("*.html")):
        console.print(f"  {report}", soft_wrap=True)
    testbed = services.processes.running(TESTBED)
    console.print(
        f"\nThe CRM that was filled: {testbed.address if testbed else '–'} (still running, as is PostgreSQL)\n"
        + ("" if services.processes.running(UI) else "See the runs in the browser:  make ui\n")
        + "Ask the command line:         .venv/bin/rollout --project demo status\n"
        f"Stop what still runs:         make stop\n{seconds:.0f} s in all"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # `flows` is a package of the checkout
    sys.exit(main())
