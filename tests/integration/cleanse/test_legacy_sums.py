"""Figures of the legacy system worked out from its own rows: what became of each amount, and what got lost."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import open_context
from rollout.phases.golden import golden_paths
from rollout.phases.verify_totals import tallies_of
from rollout.project.loader import load_project
from rollout.project.spec import ControlTotal

PROJECT = """
version: 1
project: {id: sums, name: 合计}
systems:
  legacy: {connector: files, options: {root: legacy}}
  crm: {connector: memory}
targets:
  test: {system: crm}
entities:
  order:
    label: 订单
    title_field: no
    fields:
      "no": {type: text, required: true}
      buyer: {type: text, required: true}
      status: {type: picklist, picklist: [完成, 取消]}
      amount: {type: decimal, required: true}
    rules:
      - {name: 金额不为负, check: range, fields: [amount], min: "0"}
    sources:
      - {name: orders, system: legacy, path: orders.csv, row_key: [行号], mapping: order.yaml}
match:
  order:
    keys: [{name: same number, fields: ["no"]}]
    survivorship: most_complete
"""
MAPPING = """
entity: order
source: orders
fields:
  - {target: "no", source: 订单号}
  - {target: buyer, source: 客户, required: true}
  - {target: status, source: 状态, on_error: "null"}
  - {target: amount, source: 金额}
"""
ROWS = """行号,订单号,客户,状态,金额
1,A1,甲,完成,"1,000.50"
2,A2,乙,完成,¥200
3,A2,乙,,250
4,A3,,完成,40
5,A4,丙,取消,8
6,A5,丁,完成,谈妥再定
7,A6,戊,完成,３００
8,A7,己,取消,-7
,,,,
"""
TOTAL = {"entity": "order", "expected": "auto", "tax": "included", "returns": "none", "as_of": "2026-01-31"}


def total(name: str, **given: object) -> ControlTotal:
    return ControlTotal.model_validate(
        {"name": name, "measure": "sum", "field": "amount", "status": "-", **TOTAL, **given}
    )


@pytest.fixture
def context(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "legacy").mkdir()
    for name, text in {"rollout.yaml": PROJECT, "order.yaml": MAPPING, "legacy/orders.csv": ROWS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    with open_context(load_project(tmp_path / "rollout.yaml")) as context:
        run_cleanse(context)
        yield context


def summed(context, totals, *, lost: str | None = None):
    """The figures if all golden records but the one of order ``lost`` are in the target as they are."""
    golden = pq.read_table(golden_paths(context)["order"])
    loaded = golden if lost is None else golden.filter(pc.not_equal(golden["no"], lost))
    tallies = tallies_of(context, totals, "test", loaded["_golden_key"].to_pylist(), wave="all")
    for row in loaded.to_pylist():
        for tally in tallies:
            tally.add(row)
    return [tally.result() for tally in tallies]


def test_each_amount_is_told_where_it_went(context):
    whole, done, rows = summed(
        context,
        [
            total("all"),
            total("done", where={"status": ("完成",)}),
            total("orders", measure="count", field=None),
        ],
        lost="A4",
    )
    made = whole.made_of
    assert whole.agrees, whole
    assert (made.source, made.merged, made.quarantined, made.not_loaded) == ("1791.5", "250", "33", "8")
    assert (whole.expected, whole.observed, made.unreadable) == ("1500.5", "1500.5", 1)
    assert (done.agrees, done.expected, done.made_of.source) == (True, "1500.5", "1540.5")
    assert (rows.agrees, rows.observed, rows.made_of.source) == (True, "3", "7")


def test_records_of_another_wave_are_told_apart(context):
    [tally] = tallies_of(context, [total("all")], "test", [], wave="later")
    assert (tally.made_of.other_waves, tally.made_of.not_loaded) == ("1508.5", "0")


def test_what_the_target_lacks_or_a_row_in_no_place_shows_as_a_difference(context):
    golden = pq.read_table(golden_paths(context)["order"])
    tallies = tallies_of(context, [total("all")], "test", golden["_golden_key"].to_pylist(), wave="all")
    for row in golden.to_pylist()[1:]:
        tallies[0].add(row)
    assert tallies[0].result().agrees is False

    made = context.journal.latest_run("cleanse").summary["entities"]["order"]
    stage = context.project.workspace.stages / made["quarantine_file"]
    table = pq.read_table(stage)
    pq.write_table(table.filter(pc.not_equal(table["_source_key"], "orders:4")), stage)
    [result] = summed(context, [total("all")])
    assert (result.agrees, result.difference) == (False, "-40")
