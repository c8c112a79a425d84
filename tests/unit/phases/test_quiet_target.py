"""What loads asks the target for silence, if the settings want it; what reads or syncs does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.connectors.memory import MemoryConnector
from rollout.phases.context import PhaseContext
from rollout.project.loader import load_project

DEMO = Path(__file__).parents[3] / "demo" / "rollout.yaml"


class CanBeQuiet(MemoryConnector):
    def quiet(self) -> MemoryConnector:
        if not hasattr(self, "silent"):
            self.silent = MemoryConnector(name="silent", options=self.options.model_dump(), base_dir=Path())
        return self.silent


@pytest.mark.parametrize(
    ("phase", "wanted", "silent"), [("load", True, True), ("load", False, False), ("verify", True, False)]
)
def test_loads_alone_ask_for_silence(phase, wanted, silent):
    environ = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:9", "ROLLOUT_TESTBED_PASSWORD": "x"}
    project = load_project(DEMO, environ=environ)
    targets = {
        name: target.model_copy(update={"suppress_automation": wanted}) for name, target in project.spec.targets.items()
    }
    # The follow-ups have another name in the CRM: with them the connector would be wrapped once more.
    account = {"account": project.spec.entities["account"]}
    project = replace(project, spec=project.spec.model_copy(update={"targets": targets, "entities": account}))
    crm = CanBeQuiet(name="crm", options={"entities": {"account": {"name": {}}}}, base_dir=Path())
    context = PhaseContext(project=project, journal=None, _connectors={"crm": crm})
    assert context.target(phase)[2] is (crm.quiet() if silent else crm)
