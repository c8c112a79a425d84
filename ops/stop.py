"""``make stop``: end the services that still run for a project, and its embedded PostgreSQL.

Only processes that were recorded when they were started, and still are what the record says, are signalled.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from processes import ServiceError
from rich.console import Console
from services import ROOT, UI, Services

from rollout.errors import RolloutError
from rollout.project import postgres

console = Console(highlight=False)


def main() -> int:
    """Stop everything. Answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=ROOT / "demo", help="folder of rollout.yaml (default: demo)")
    try:
        services = Services.of(parser.parse_args().project)
        # `make ui` goes first: it stops what it started itself.
        names = sorted((record.name for record in reversed(services.processes.all_running())), key=lambda n: n != UI)
        stopped = [name for name in names if services.processes.stop(name)]
        if postgres.stop(services.workspace.postgres):
            stopped.append("postgresql")
    except (RolloutError, ServiceError) as error:
        console.print(str(error), style="red", markup=False)
        return getattr(error, "exit_code", 3)
    console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


if __name__ == "__main__":
    sys.exit(main())
