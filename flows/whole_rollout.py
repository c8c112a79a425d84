"""The whole rollout: assess → cleanse → plan → import → verify, stopping where a person or a gate decides.

(The file cannot be called rollout.py: Prefect puts this folder first on the import path, before the package `rollout`.)
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from flows._common import ProjectOptions
from flows._states import failed
from flows.assess import AssessOptions, assess
from flows.cleanse import CleanseOptions, cleanse
from flows.load import LoadOptions, load
from flows.plan import PlanOptions, plan
from flows.verify import VerifyOptions, verify


class RolloutOptions(ProjectOptions):
    """Where to begin."""

    plan_id: str = Field(
        default="",
        max_length=64,
        title="已批准的计划 · Approved plan",
        description="填写后只导入并核对该计划；留空则从评估开始。"
        "Only import and verify this plan; empty: from the start.",
    )


DEFAULTS = RolloutOptions()


@flow(name="rollout", flow_run_name="rollout · {options.label}")
def rollout(options: RolloutOptions = DEFAULTS) -> State[Any]:
    """Run the phases in order; end with the state of the first one that does not simply complete."""
    shared = options.model_dump(exclude={"plan_id"})
    if not options.plan_id:
        for state in (
            assess(AssessOptions(**shared), return_state=True),
            cleanse(CleanseOptions(**shared), return_state=True),
        ):
            if not state.is_completed():
                return failed(state)
        planned = plan(PlanOptions(**shared), return_state=True)
        if not planned.is_completed():
            return failed(planned)
        waiting = planned.result().plan_id
        return Completed(
            name="AwaitingApproval",
            message=f"plan {waiting} waits for a person: run the deployment approve-plan",
            data=waiting,
        )
    loaded = load(LoadOptions(**shared, plan_id=options.plan_id), return_state=True)
    if not loaded.is_completed():
        return failed(loaded)
    verified = verify(VerifyOptions(**shared), return_state=True)
    if verified.is_failed():
        return failed(verified)
    return Completed(name=verified.name, message=verified.message)
