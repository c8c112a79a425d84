"""The phase with the demo project's committed sample and a real journal: the ledger adds up, findings are recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rollout.errors import ConfigError
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import open_context
from rollout.phases.golden import golden_paths
from rollout.project.loader import load_project

DEMO = Path(__file__).parents[3] / "demo"


@pytest.fixture
def root(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demo project; its journal is in a fresh database."""
    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns(".rollout"))
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    monkeypatch.setenv("ROLLOUT_TESTBED_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROLLOUT_TESTBED_PASSWORD", "not used")
    return tmp_path / "demo"


def test_the_demo_is_accounted_for_row_by_row(root):
    with open_context(load_project(root / "rollout.yaml")) as context:
        summary = run_cleanse(context)
        again = run_cleanse(context)
        accounting = {line.entity: line for line in context.journal.accounting()}
        run = context.journal.latest_run("cleanse")
        assert run is not None
        found = {finding.id for finding in context.journal.findings(run.run_id)}
        golden = golden_paths(context)
    assert again == summary
    assert summary.accounted
    assert len(summary.entities) == 10
    for entity, done in summary.entities.items():
        line = accounting[entity]
        assert (line.source, line.merged, line.quarantined, line.skipped, line.not_loaded) == (
            done.source, done.merged, done.quarantined, done.skipped, done.golden,
        )  # fmt: skip
        assert done.golden > 0
        assert pq.ParquetFile(golden[entity]).metadata.num_rows == done.golden
    merged = {entity for entity, done in summary.entities.items() if done.merged}
    assert merged >= {"account", "contact", "order"}  # the fair's register has an order's lines in rows of their own
    assert summary.entities["contact"].skipped > 0  # … and rows without a contact
    assert any(code.startswith("cleanse.") for code in found)
    assert run.summary["entities"]["account"]["golden_file"] == summary.entities["account"].golden_file


def test_a_failed_cleansing_leaves_the_ledger_as_it_was(root):
    with open_context(load_project(root / "rollout.yaml")) as context:
        run_cleanse(context)
        before = context.journal.accounting()
        mapping = root / "mappings" / "contact.yaml"
        mapping.write_text(
            mapping.read_text(encoding="utf-8").replace("source: 职务", "source: 职位"), encoding="utf-8"
        )
    with open_context(load_project(root / "rollout.yaml")) as context:
        with pytest.raises(ConfigError, match="lacks 职位"):
            run_cleanse(context)
        assert context.journal.accounting() == before
        assert context.journal.latest_run("cleanse", state="failed") is not None
