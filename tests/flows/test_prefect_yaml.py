"""prefect.yaml, read strictly: Prefect ignores what it does not know, so a misspelt key would pass silently."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

ROOT = Path(__file__).resolve().parents[2]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pool(Strict):
    name: Literal["rollout"]


class Limit(Strict):
    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"]


class Schedule(Strict):
    """Keys that Prefect's own `RawScheduleConfig` knows; a cron of five fields, a zone that exists."""

    cron: str = Field(pattern=r"^\S+( \S+){4}$")
    timezone: str
    active: Literal[True]
    slug: str = Field(pattern="^[a-z][a-z-]*$")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        ZoneInfo(value)
        return value


class Deployment(Strict):
    name: str = Field(pattern=r"^[a-z][a-z-]*( \([a-z ]+\))?$")
    entrypoint: str = Field(pattern=r"^flows/[a-z_]+\.py:[a-z_]+$")
    description: str = Field(pattern=r"[\u4e00-\u9fff](.|\n)*[A-Za-z]{3}")
    tags: list[str] = Field(min_length=1)
    enforce_parameter_schema: Literal[True]
    concurrency_limit: Limit | None = None
    schedules: list[Schedule] = []
    work_pool: Pool


class Definitions(Strict):
    pool: Pool


class PrefectYaml(Strict):
    name: Literal["crm-rollout"]
    definitions: Definitions
    deployments: list[Deployment]


@pytest.fixture
def raw() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))


def test_it_holds_nothing_that_prefect_would_ignore(raw):
    PrefectYaml.model_validate(raw)


def test_a_misspelt_key_is_caught(raw):
    broken = copy.deepcopy(raw)
    broken["deployments"][0]["enforce_parameters_schema"] = True
    with pytest.raises(ValidationError, match="enforce_parameters_schema"):
        PrefectYaml.model_validate(broken)


def test_every_flow_file_is_deployed_once(raw):
    deployed = [entry["entrypoint"] for entry in raw["deployments"]]
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "flows").glob("[a-z]*.py")}
    assert {entry.split(":")[0] for entry in deployed} == files
    assert len(set(deployed)) == len(deployed)


def test_what_writes_to_the_crm_runs_one_at_a_time(raw):
    limits = {entry["name"]: entry.get("concurrency_limit", {}).get("limit") for entry in raw["deployments"]}
    writing = {entry["name"] for entry in raw["deployments"] if "changes:crm" in entry["tags"]}
    assert writing >= {"import", "import (retry rejects)", "undo", "rollout"}
    assert {name for name in writing if limits[name] != 1} == set()


def test_entrypoints_are_flows_whose_options_are_a_documented_strict_form(raw):
    from prefect.flows import load_flow_from_entrypoint

    for entry in raw["deployments"]:
        flow = load_flow_from_entrypoint(str(ROOT / entry["entrypoint"]), use_placeholder_flow=False)
        schema = flow.parameters.model_dump_for_openapi()
        assert list(schema["properties"]) == ["options"], entry["name"]
        (form,) = schema["definitions"].values()
        assert form["additionalProperties"] is False
        positions = [field["position"] for field in form["properties"].values()]
        assert sorted(positions) == list(range(len(positions)))
        for name, field in form["properties"].items():
            assert "·" in field["title"], f"{entry['name']}.{name} has no title in both languages"
            assert len(field["description"]) > 20, f"{entry['name']}.{name} is not explained"
            if field["type"] in {"string", "array"} and name not in {"project", "environment"}:
                assert field.keys() & {"maxLength", "maxItems", "enum"}, f"{entry['name']}.{name} has no bound"


def test_what_recurs_has_its_schedule_in_the_demo_project_s_zone(raw):
    from prefect.cli.deploy._models import RawScheduleConfig

    schedules = {entry["name"]: entry["schedules"] for entry in raw["deployments"] if "schedules" in entry}
    assert {name: [item["cron"] for item in items] for name, items in schedules.items()} == {
        "sync": ["*/10 * * * *"],
        "health": ["*/10 * * * *"],
        "nightly-sync-check": ["0 2 * * *"],
        "retention": ["0 3 * * *"],
        "monthly-operation-report": ["0 8 1 * *"],
    }
    demo = yaml.safe_load((ROOT / "demo/rollout.yaml").read_text(encoding="utf-8"))
    zones = {item["timezone"] for items in schedules.values() for item in items}
    assert zones == {demo["project"]["time_zone"]}
    for items in schedules.values():
        for item in items:
            RawScheduleConfig.model_validate(item)


def test_the_health_check_s_schedule_is_the_one_that_the_monthly_report_counts_by(raw):
    from rollout.project.spec_around import OperationsSection

    (health,) = [entry for entry in raw["deployments"] if entry["name"] == "health"]
    assert health["schedules"][0]["cron"] == f"*/{OperationsSection().health_every_min} * * * *"


def test_a_project_elsewhere_gets_its_schedules_in_its_own_zone(raw, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "ops"))
    services = importlib.import_module("services")
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    moved = yaml.safe_load(services.in_zone(text, "Europe/Berlin"))
    zones = [item.pop("timezone") for entry in moved["deployments"] for item in entry.get("schedules", [])]
    assert len(zones) >= 3
    assert set(zones) == {"Europe/Berlin"}
    for entry in raw["deployments"]:
        for item in entry.get("schedules", []):
            item.pop("timezone")
    assert moved == raw  # nothing else changed
    assert services.in_zone(text, "Asia/Shanghai") == text


def test_only_decisions_ask_for_a_personal_code(raw):
    """An import, a retry or an undo applies what somebody approved with theirs; a run's form is stored by Prefect."""
    from prefect.flows import load_flow_from_entrypoint

    asking = set()
    for entry in raw["deployments"]:
        flow = load_flow_from_entrypoint(str(ROOT / entry["entrypoint"]), use_placeholder_flow=False)
        (form,) = flow.parameters.model_dump_for_openapi()["definitions"].values()
        if any(field.get("format") == "password" for field in form["properties"].values()):
            asking.add(entry["name"])
    assert asking == {entry["name"] for entry in raw["deployments"] if "decision" in entry["tags"]}
