"""A company of its own to simulate with: a testbed, a journal and a workspace made anew, its customers loaded."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rollout.connectors.base import Connector
from rollout.errors import ConfigError, Fatal
from rollout.journal import people
from rollout.journal.store import Journal
from rollout.operate.kinds import WRONG
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext
from rollout.phases.health import run_health
from rollout.phases.load import run_load
from rollout.phases.nightly import run_sync_check
from rollout.phases.plan import run_plan
from rollout.phases.sync import run_sync
from rollout.project.database import fresh_database_url
from rollout.project.keys import key_ring
from rollout.project.loader import Project
from rollout.project.spec import SystemSpec, WaveSpec
from rollout.project.workspace import Workspace
from rollout.rehearsal.faults import FaultKind, PlantedFault, begin
from rollout.rehearsal.world import World
from rollout.testbed import server
from rollout.testbed.server import Testbed

FOLDER = "simulation"
PERSON = "演练 (simulation)"
REASON = "simulation on made-up data: approved by the program that runs it"
HEALTH_EVERY_MIN = 180
_NEVER_FULL, _NEVER_SLOW_S = 1e-9, 600.0
"""The machine that simulates is not the company's: its own disk and load are no faults of the month."""


@dataclass
class Clock:
    """A clock that is set."""

    now: datetime

    def __call__(self) -> datetime:
        """The simulated instant."""
        return self.now


@dataclass
class Stage:
    """A loaded company with a clock, on which days can be played."""

    context: PhaseContext
    clock: Clock
    world: World
    sync: str
    entity: str
    is_sync_stopped: bool = False
    messages: int = 0
    """Alerts and recoveries that arrived in the chat."""
    health_runs: int = 0
    reported: list[tuple[str, datetime, str]] = field(default_factory=list)
    """(run kind, instant, sign) of everything that any run said was wrong."""
    _kept: dict[str, Connector] = field(default_factory=dict)
    """Connectors that runs share: all but the CRM's, which each run logs in to anew."""

    @contextmanager
    def visit(self) -> Iterator[PhaseContext]:
        """A context that has not logged in to the CRM yet, as a run of its own has it."""
        _, spec, _ = self.context.target("operate")
        context = replace(self.context, _connectors={**self._kept})
        try:
            yield context
        finally:
            found = context._connectors  # noqa: SLF001 - the journal stays open for the next run
            if crm := found.pop(spec.system, None):
                crm.close()
            self._kept.update(found)

    def close(self) -> None:
        """Release the connections."""
        self.world.close()
        for connector in self._kept.values():
            connector.close()

    def order(self, at: datetime) -> None:
        """A customer orders."""
        self.world.order(at)

    def begin(self, fault: PlantedFault) -> None:
        """Let a fault happen."""
        self.is_sync_stopped |= fault.kind is FaultKind.SYNC_STOPPED
        begin(fault, self.world, self.sync, self.entity)

    def end(self, fault: PlantedFault) -> None:
        """Put it right."""
        self.is_sync_stopped &= fault.kind is not FaultKind.SYNC_STOPPED
        fault.undo(self.clock.now)

    def watch(self, *, is_night: bool) -> None:
        """What the schedule starts at one moment: the syncs unless they stand still, and the checks."""
        with self.visit() as context:
            if not self.is_sync_stopped:
                run_sync(context, sleep=lambda _: None)
            if is_night:
                self._check_night(context)
            summary = run_health(context)
        self.health_runs += 1
        signs = [f"health:{probe.name}" for probe in summary.probes if not probe.ok]
        self._note("health", signs, summary.incidents.messages)

    def _check_night(self, context: PhaseContext) -> None:
        summary = run_sync_check(context)
        with Path(summary.differences).open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kind"] in WRONG]
        signs = [f"{row['kind']}:{row['source']}:{row['reason']}:{row['key']}" for row in rows]
        signs += [f"unreadable:{check.source}" for check in summary.sources if check.unreadable]
        signs += [f"permission:{item.login}:{item.before}:{item.after}" for item in summary.permissions.changes]
        self._note("sync_check", signs, summary.incidents.messages)

    def _note(self, kind: str, signs: Sequence[str], sent: int) -> None:
        self.reported += [(kind, self.clock.now, sign) for sign in signs]
        if sent:
            arrived = self.world.messages()
            self.messages += arrived
            if arrived != sent:
                self.reported.append((kind, self.clock.now, f"{sent} messages were sent and {arrived} arrived"))


@contextmanager
def company(project: Project, source: random.Random, begins_at: datetime) -> Iterator[Stage]:
    """The project's company, loaded the day before, with orders to come. Everything is made anew and nobody else's.

    Args:
        project: A project on the testbed.
        source: Draws what happens.
        begins_at: First instant of the simulation, aware.

    Raises:
        ConfigError: The project does not work on the testbed, or carries no orders from its ERP.
        Fatal: The testbed does not start, or the load leaves rows open.
    """
    sync = _order_sync(project)
    root = project.workspace.root / FOLDER
    shutil.rmtree(root, ignore_errors=True)
    databases = {name: fresh_database_url(project, f"{FOLDER}_{name}") for name in ("journal", "testbed")}
    with server.running(databases["testbed"], faults=True, token_lifetime_s=86_400) as testbed:
        simulated = _simulated(project, testbed, Workspace(root))
        clock = Clock(begins_at - timedelta(days=1))
        journal = Journal.open(
            databases["journal"], project_id=simulated.spec.project.id, keys=key_ring(simulated), clock=clock
        )
        spec = simulated.spec.integration.syncs[sync] if simulated.spec.integration else None
        assert spec is not None
        with PhaseContext(project=simulated, journal=journal, clock=clock) as context:
            stage = Stage(context, clock, World(testbed, source, spec.key_prefix), sync, spec.references_entity)
            try:
                _load(stage)
                stage.world.settle_in()
                clock.now = begins_at
                yield stage
            finally:
                stage.close()


def _order_sync(project: Project) -> str:
    """The name of the sync that carries the ERP's orders."""
    spec = project.spec
    on_testbed = any(
        "operate" in target.phases and spec.systems[target.system].connector == "crm_testbed"
        for target in spec.targets.values()
    )
    syncs = spec.integration.syncs if spec.integration else {}
    found = [name for name, sync in syncs.items() if spec.systems[sync.system].connector == "erp_testbed"]
    if not on_testbed or not found:
        raise ConfigError(
            "only a project on the testbed can be simulated",
            where=str(project.path),
            hint="its phase `operate` needs a target with connector crm_testbed, and a sync a system with erp_testbed;"
            " the demo has both: `rollout --project demo demo --months 1`",
        )
    return found[0]


def _simulated(project: Project, testbed: Testbed, workspace: Workspace) -> Project:
    """The project as it is, on other systems, in another workspace, under another id."""
    password = testbed.password
    options: dict[str, dict[str, Any]] = {
        "crm_testbed": {"base_url": testbed.base_url, "username": testbed.username, "password": password},
        "erp_testbed": {"base_url": testbed.erp_url, "token": testbed.erp_token},
        "messaging_wecom": {
            "base_url": testbed.wecom_url,
            "corp_id": testbed.wecom_corp_id,
            "secret": testbed.wecom_secret,
        },
        "messaging_dingtalk_robot": {
            "base_url": testbed.dingtalk_url,
            "access_token": testbed.dingtalk_access_token,
            "secret": testbed.dingtalk_secret,
        },
    }
    spec = project.spec
    systems = {
        name: SystemSpec(
            connector=system.connector,
            label=system.label,
            options=system.options | options.get(system.connector, {}),
        )
        for name, system in spec.systems.items()
    }
    operations = spec.operations.model_copy(
        update={
            "health_every_min": HEALTH_EVERY_MIN,
            "disk_free_share": _NEVER_FULL,
            "slow_after_s": _NEVER_SLOW_S,
        }
    )
    changed = {
        "project": spec.project.model_copy(update={"id": f"{spec.project.id}-{FOLDER}"}),
        "systems": systems,
        "operations": operations,
        "waves": (WaveSpec(name="all"),),
        "dormant": {},  # nobody is there to decide
    }
    return replace(project, spec=spec.model_copy(update=changed), workspace=workspace)


def _load(stage: Stage) -> None:
    """Take the customers into the CRM, as a rollout does."""
    context = stage.context
    run_cleanse(context)
    run_plan(context)
    code = people.add(context.journal, PERSON)
    approve(context, person=PERSON, code=code, reason=REASON)
    if not run_load(context).closed:
        raise Fatal("the simulated company could not be loaded", hint="run `rollout load` on the project and see why")
