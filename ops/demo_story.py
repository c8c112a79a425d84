"""What ``make demo`` does, phase by phase: every step is the flow that the Prefect UI starts, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demo_company import Company, choose
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from services import PREFECT, Services

from flows.approve import ApproveOptions, approve_plan
from flows.assess import AssessOptions, assess
from flows.cleanse import CleanseOptions, cleanse
from flows.go_no_go import GoNoGoOptions, go_no_go
from flows.handouts import HandoutOptions, Kind, handouts
from flows.health import HealthOptions, health
from flows.integrate import IntegrateOptions, integrate
from flows.load import LoadOptions, load
from flows.loadtest import LoadTestOptions, loadtest
from flows.monthly_operation_report import MonthOptions, monthly_operation_report
from flows.nightly_sync_check import SyncCheckOptions, nightly_sync_check
from flows.plan import PlanOptions, plan
from flows.prepare import PrepareOptions, prepare
from flows.sync import SyncOptions, sync
from flows.take_in import TakeInOptions, take_in
from flows.verify import VerifyOptions, verify
from rollout.cli import tables
from rollout.model.verdict import Verdict
from rollout.phases.context import open_context

if TYPE_CHECKING:
    from prefect import State

FIRST_TRY = "first_try"
"""The environment of the demo's project file in which the pilot does not pass."""
REASON = "demo on made-up data: decided by the script that made the data"


class DemoError(Exception):
    """A phase did not end as the demo needs it."""


class LostPrefectError(DemoError):
    """The Prefect server is gone or no longer answers."""


class Story:
    """The demo's run through a rollout.

    Args:
        services: What runs around the project.
        company: The made-up company's own systems.
        person: Who approves and decides.
        code: Their personal code.
        console: Where people read along.
    """

    def __init__(self, services: Services, company: Company, person: str, code: str, console: Console) -> None:
        self._services = services
        self._company = company
        self._console = console
        self._here = {"project": str(services.project.root)}
        self._decider = {"person": person, "code": SecretStr(code), "reason": REASON, "go_on": False}
        self._zone = ZoneInfo(services.project.spec.project.time_zone)

    def tell(self) -> None:
        """Walk from prepare to operate. Raises DemoError where a phase does not end as it should."""
        pilot, *later = (wave.name for wave in self._services.project.spec.waves)
        self.phase("prepare", prepare, PrepareOptions(**self._here))
        self.phase("assess", assess, AssessOptions(**self._here))
        if is_first := not self._has_passed(pilot):
            self._first_try(pilot)
        self._cleanse()
        if is_first:
            self._hand_out("quarantine")
            self._hand_out("review")
        self._load_wave(pilot)
        self._trade(day=1)
        self.phase("integrate", integrate, IntegrateOptions(**self._here))
        self.phase("loadtest", loadtest, LoadTestOptions(**self._here))
        self._decide("pilot")
        for wave in later:
            self._load_wave(wave)
        self._decide("golive")
        self._operate()

    def _has_passed(self, wave: str) -> bool:
        with open_context(self._services.project) as context:
            judged = context.journal.latest_gate("load", wave=wave)
        return judged is not None and judged.verdict is Verdict.PASS

    def _first_try(self, wave: str) -> None:
        """With the owner list as it was at first: too many customers wait in quarantine, and the gate says so."""
        self._say(f"with the owner list as it was at first (--env {FIRST_TRY}): four people are not in it")
        self._here["environment"] = FIRST_TRY
        self._cleanse()
        self._load_wave(wave, ends="GateFailed-load")
        self._decide("pilot", ends="ApprovalError")
        self._here["environment"] = ""
        self._say("the administrator completes the owner list; only what was held back is still to be loaded")

    def _cleanse(self) -> None:
        """And once people are needed for dormant customers, have them decide, and heed it."""
        done = self.phase("cleanse", cleanse, CleanseOptions(**self._here))
        if not any(entity.dormant and entity.dormant.undecided for entity in done.entities.values()):
            return
        files = self._hand_out("dormant")
        self._say("sales fills the workbook in: customers that nobody heard of in three years are to be loaded frozen")
        for file in files:
            choose(Path(file), "frozen")
        self.phase("take-in", take_in, TakeInOptions(**self._here, **self._decider, kind="dormant", files=files))
        self.phase("cleanse", cleanse, CleanseOptions(**self._here))

    def _hand_out(self, kind: Kind) -> list[str]:
        return self.phase("handouts", handouts, HandoutOptions(**self._here, kind=kind))

    def _load_wave(self, wave: str, *, ends: str = "") -> None:
        planned = self.phase(f"plan {wave}", plan, PlanOptions(**self._here, wave=wave))
        self.phase("approve", approve_plan, ApproveOptions(**self._here, **self._decider, plan_id=planned.plan_id))
        loaded = self.phase("import", load, LoadOptions(**self._here, wave=wave, plan_id=planned.plan_id))
        self.phase("verify", verify, VerifyOptions(**self._here, wave=wave), ends=ends)
        self._console.print(f"\n{tables.conservation(loaded.entities)}\n", markup=False, soft_wrap=True)

    def _decide(self, phase: str, *, ends: str = "") -> None:
        options = GoNoGoOptions(**self._here, **self._decider, phase=phase, decision="go")
        self.phase(f"go: {phase}", go_no_go, options, ends=ends)

    def _operate(self) -> None:
        self._trade(day=2)
        self.phase("health", health, HealthOptions(**self._here))
        self.phase("night", nightly_sync_check, SyncCheckOptions(**self._here))
        month = datetime.now(self._zone).strftime("%Y-%m")
        self.phase("report", monthly_operation_report, MonthOptions(**self._here, month=month))

    def _trade(self, day: int) -> None:
        orders, messages = self._company.trade(datetime.now(self._zone), day=day)
        self._say(f"{orders} new orders in the ERP, {messages} new messages in WeCom (made up)")
        self.phase("sync", sync, SyncOptions(**self._here))

    def _say(self, text: str) -> None:
        self._console.print(f"  · {text}", style="dim", markup=False, soft_wrap=True)

    def phase(self, name: str, flow: Callable[..., State[Any]], options: Any, *, ends: str = "") -> Any:
        """Run one flow, tell how it ended, and answer its summary.

        Args:
            name: What people read.
            flow: The flow.
            options: Its form.
            ends: Name of the failed state in which it must end; "": it must complete.
        """
        begun_s = time.monotonic()
        try:
            with self._console.status(f"{name} …"):
                state = flow(options, return_state=True)
        except Exception:
            if self._services.prefect_answers():
                raise
            raise self._lost_prefect(name) from None
        as_told = state.name == ends if ends else state.is_completed() and state.name != "AwaitingDecision"
        mark = ("[yellow]✗[/]" if ends else "[green]✓[/]") if as_told else "[red]✗[/]"
        said = escape(state.message or state.name or "")
        self._console.print(f"{mark} {name:10} {time.monotonic() - begun_s:5.1f} s  {said}", soft_wrap=True)
        if not as_told:
            if not self._services.prefect_answers():
                raise self._lost_prefect(name)
            raise DemoError(f"{name} ended as {state.name}: {state.message}")
        return None if ends else state.result()

    def _lost_prefect(self, name: str) -> LostPrefectError:
        log = self._services.processes.logs / f"{PREFECT}.log"
        return LostPrefectError(
            f"the Prefect server was lost during {name}; its log: {log}\n"
            "Nothing is lost of the rollout: its state is in the journal. → run `make demo` again"
        )
