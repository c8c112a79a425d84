"""The whole rollout, phase by phase as the journal has them, stopping where a person or a gate decides.

Nothing is kept here or in Prefect: started again, be it on a new Prefect database, it goes on where the journal says.

(The file cannot be called rollout.py: Prefect puts this folder first on the import path, before the package `rollout`.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Flow, State, flow
from prefect.states import Completed

from flows._options import ProjectOptions
from flows._states import failed
from flows._tasks import phase_task
from flows.assess import AssessOptions, assess
from flows.cleanse import CleanseOptions, cleanse
from flows.integrate import IntegrateOptions, integrate
from flows.load import LoadOptions, load
from flows.loadtest import LoadTestOptions, loadtest
from flows.plan import PlanOptions, plan
from flows.prepare import PrepareOptions, prepare
from flows.verify import VerifyOptions, verify
from rollout.phases.context import PhaseContext
from rollout.phases.status import rollout_status
from rollout.report.status import PhaseStatus, RolloutStatus

FLOWS: dict[str, tuple[Flow[..., Any], Callable[..., ProjectOptions]]] = {
    "prepare": (prepare, PrepareOptions),
    "assess": (assess, AssessOptions),
    "cleanse": (cleanse, CleanseOptions),
    "plan": (plan, PlanOptions),
    "load": (load, LoadOptions),
    "verify": (verify, VerifyOptions),
    "integrate": (integrate, IntegrateOptions),
    "loadtest": (loadtest, LoadTestOptions),
}
"""The flow of each phase that runs; the others are decisions."""


class RolloutOptions(ProjectOptions):
    """Which rollout to go on with."""

    @property
    def label(self) -> str:
        """What the run's name says."""
        return "every phase whose turn it is"


@phase_task("status")
def look(context: PhaseContext, _options: RolloutOptions) -> RolloutStatus:
    """Where the rollout is; the sources are looked at, for they may have changed since they were cleansed."""
    return rollout_status(context, look_at_sources=True)


DEFAULTS = RolloutOptions()


@flow(name="rollout", flow_run_name="rollout · {options.label}")
def rollout(options: RolloutOptions = DEFAULTS) -> State[Any]:
    """Run each phase whose turn it is, once; end with the state of the first that does not simply complete."""
    tried: set[tuple[str, str | None]] = set()
    while True:
        looked = look(options, return_state=True)
        if not looked.is_completed():
            return failed(looked)
        due: PhaseStatus | None = looked.result().next
        if due is None:
            return Completed(name="Live", message="every phase is done; what is left is operation")
        if (stop := _waits_for_people(due, tried=(due.phase, due.wave) in tried)) is not None:
            return stop
        tried.add((due.phase, due.wave))
        run, form = FLOWS[due.phase]
        wave = {"wave": due.wave} if due.wave else {}
        state = run(form(**options.model_dump(), **wave), return_state=True)
        if state.name == "ApprovalError":  # dormant records are undecided, say
            return Completed(name="AwaitingDecision", message=state.message)
        if not state.is_completed():
            return failed(state)


def _waits_for_people(due: PhaseStatus, *, tried: bool) -> State[Any] | None:
    """The state to end in, unless the phase can be run now."""
    told = f"{due.label} · {due.label_en}: {due.waiting_for}"
    if due.phase == "plan" and due.state == "waiting":
        return Completed(name="AwaitingApproval", message=f"{told} (or the deployment approve-plan)", data=due.plan_id)
    if tried or due.phase not in FLOWS or due.state == "no_go" or (due.phase == "prepare" and due.state == "waiting"):
        return Completed(name="AwaitingDecision", message=f"{told} (or the deployment go-no-go)")
    return None
