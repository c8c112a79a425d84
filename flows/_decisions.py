"""What the forms share in which a named person decides: the personal code, and going on afterwards.

Prefect stores the parameters of every run. The first thing such a flow does is therefore to take the personal code out
of its own; from sending the form until the worker starts the run (a few seconds) Prefect's database holds it.
"""

from __future__ import annotations

from typing import Any

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from pydantic import ConfigDict, Field, SecretStr

from flows._options import ProjectOptions


def _form_order(schema: dict[str, Any]) -> None:
    """What is decided first, then who decides and why, last what every flow shares (the UI sorts by it)."""
    shared = [ProjectOptions.model_fields, DecisionOptions.model_fields]
    names = sorted(schema["properties"], key=lambda name: sum(name in fields for fields in shared))
    for position, name in enumerate(names):
        schema["properties"][name]["position"] = position


class DecisionOptions(ProjectOptions):
    """Who decides, and why."""

    model_config = ConfigDict(json_schema_extra=_form_order)

    person: str = Field(
        min_length=1,
        max_length=100,
        title="姓名 · Person",
        description="决定人，见 rollout people。Who decides; known to `rollout people`.",
    )
    code: SecretStr = Field(
        min_length=1,
        max_length=100,
        title="个人代码 · Personal code",
        description="只用于本次核对，不会保留在运行记录中。Checked once; taken out of the run's record.",
    )
    reason: str = Field(
        min_length=3, max_length=500, title="理由 · Reason", description="会写入审计记录。Kept in the audit trail."
    )
    go_on: bool = Field(
        default=True,
        title="继续 · Go on",
        description="记录后立即继续上线流程。Start the flow `rollout` again as soon as it is recorded.",
    )


def forget_code(options: DecisionOptions) -> None:
    """Overwrite this run's stored parameters by those without the code."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, parameters={"options": options.model_dump(mode="json")})


def go_on_with(options: DecisionOptions, name: str = "rollout", **form: str) -> str:
    """Start a deployment, named as its flow; `rollout` goes on where the journal says. Answers what to tell."""
    shared = {"project": options.project, "environment": options.environment, **form}
    try:
        run = run_deployment(f"{name}/{name}", parameters={"options": shared}, timeout=0, as_subflow=False)
    except ObjectNotFound:  # what was decided is recorded all the same
        return f"; there is no deployment {name}/{name} to go on with: start the flow {name} by hand"
    return f"; going on as '{run.name}'"
