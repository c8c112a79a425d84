"""The JSON schemas that editors use are what the models say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout.errors import ConfigError
from rollout.project.schemas import mapping_schema, project_schema, write_schemas
from rollout.project.starter import write_starter

COMMITTED = Path(__file__).parents[3] / "ops" / "schema"


@pytest.mark.parametrize("name", ["rollout.schema.json", "mapping.schema.json"])
def test_the_committed_schema_is_up_to_date(tmp_path: Path, name: str) -> None:
    write_schemas(tmp_path)
    told = "run `.venv/bin/rollout schema ops/schema`"
    assert (COMMITTED / name).read_text(encoding="utf-8") == (tmp_path / name).read_text(encoding="utf-8"), told


def test_what_the_loader_adds_is_in_the_schema() -> None:
    assert "environments" in project_schema()["properties"]
    steps = json.dumps(mapping_schema()["$defs"]["MappingRule"]["properties"]["transform"])
    assert '"uscc"' in steps


def test_init_writes_nothing_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "owners.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"owners\.csv"):
        write_starter(tmp_path)
    assert not (tmp_path / "rollout.yaml").exists()
    assert (tmp_path / "mappings" / "owners.csv").read_text() == "mine"


@pytest.mark.parametrize(("folder", "identifier"), [("Acme CRM 2027", "acme-crm-2027"), ("客户", "my-rollout")])
def test_the_project_is_called_like_its_folder(tmp_path: Path, folder: str, identifier: str) -> None:
    write_starter(tmp_path / folder)
    assert f"id: {identifier} " in (tmp_path / folder / "rollout.yaml").read_text(encoding="utf-8")
