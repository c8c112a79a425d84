"""Control totals: exact sums over what counts, and no agreement on figures that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.model.verdict import Comparison, Criterion, Verdict, judge
from rollout.project.gates import CONTROL_TOTALS_OFF, criteria
from rollout.project.spec import ControlTotal
from rollout.verify.control_totals import MadeOf, Tally, measured, tallied
from tests.unit.verify._projects import project

CRITERION = Criterion(metric=CONTROL_TOTALS_OFF, comparison=Comparison.EQUAL, threshold=0)


def total(**given: object) -> ControlTotal:
    declared = {
        "name": "revenue",
        "entity": "order",
        "measure": "sum",
        "field": "amount",
        "expected": "10",
        "tax": "included",
        "status": "all but cancelled",
        "returns": "as negative amounts",
        "as_of": "2026-01-31",
    }
    return ControlTotal.model_validate({**declared, **given})


def summed(*amounts: str | None, **given: object):
    tally = Tally(total(**given))
    for amount in amounts:
        tally.add({"amount": amount, "status": "open"})
    return tally.result()


def test_decimals_are_added_exactly() -> None:
    assert summed("0.1", "0.2", expected="0.3").agrees
    assert summed("0.1", "0.2", expected="0.3").observed == "0.3"


@given(st.lists(st.decimals(min_value=-(10**9), max_value=10**9, places=2), max_size=30))
def test_the_sum_does_not_depend_on_the_order(amounts) -> None:
    forth = summed(*map(str, amounts))
    back = summed(*map(str, reversed(amounts)))
    assert (forth.observed, forth.difference) == (back.observed, back.difference)


@pytest.mark.parametrize(("tolerance", "agrees"), [("0", False), ("0.99", False), ("1", True), ("5", True)])
def test_a_difference_within_the_tolerance_is_accepted(tolerance, agrees) -> None:
    result = summed("9", tolerance=tolerance)
    assert result.difference == "-1"
    assert result.agrees is agrees


def test_returns_count_as_the_negative_amounts_they_are() -> None:
    assert summed("12", "-2").agrees


def test_only_what_the_filter_takes_counts() -> None:
    result = summed("10", where={"status": ["closed"]})
    assert (result.records, result.observed, result.agrees) == (0, "0", False)
    assert summed("10", where={"status": ["open", "closed"]}).agrees


def test_a_field_without_value_adds_nothing_and_one_that_is_no_number_never_agrees() -> None:
    assert summed("10", None).agrees
    broken = summed("10", "ten")
    assert (broken.observed, broken.unreadable, broken.agrees) == ("10", 1, False)


def test_a_count_counts_records() -> None:
    assert summed(None, "3", measure="count", field=None, expected="2").agrees


def test_what_is_off_fails_and_what_is_not_measured_is_inconclusive() -> None:
    assert judge(CRITERION, measured([summed("10")])).verdict is Verdict.PASS
    failed = judge(CRITERION, measured([summed("10"), summed("9")]))
    assert (failed.verdict, failed.observed) == (Verdict.FAIL, 1)
    assert "revenue: 9 of 10 (-1)" in failed.detail
    assert judge(CRITERION, measured([])).verdict is Verdict.INCONCLUSIVE


def test_only_the_records_that_were_loaded_count(tmp_path: Path) -> None:
    path = tmp_path / "observed.parquet"
    columns = {"_migration_key": ["a", "b", None, "erp:1"], "amount": ["4", "6", "100", "1000"]}
    pq.write_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), path)
    [result] = tallied([Tally(total())], path, pa.array(["a", "b", "lost"], pa.string()))
    assert (result.observed, result.records, result.agrees) == ("10", 2, True)
    assert tallied([], path, pa.array(["a"], pa.string())) == []


def made_of(**amounts: str) -> MadeOf:
    sums = dict.fromkeys(("merged", "quarantined", "skipped", "not_loaded", "changed"), "0")
    return MadeOf(**{"source": "100", **sums, **amounts}, rows={"loaded": 3}, unreadable=0)


def automatic(*amounts: str, **parts: str):
    tally = Tally(total(expected="auto"), made_of(**parts))
    for amount in amounts:
        tally.add({"amount": amount})
    return tally.result()


def test_what_was_merged_held_back_or_left_out_is_not_expected() -> None:
    result = automatic("70.5", merged="10", quarantined="5", skipped="4", not_loaded="11", changed="0.5")
    assert (result.expected, result.agrees) == ("70.5", True)


def test_a_source_row_that_is_nowhere_shows_as_a_difference() -> None:
    result = automatic("90", merged="9")
    assert (result.expected, result.difference, result.agrees) == ("91", "-1", False)


def test_figures_that_are_declared_are_judged_also_by_a_gate_of_the_project_s_own():
    """A gate that names its criteria and not this one must not let a difference pass."""
    gate = {"criteria": [{"metric": "accounted", "comparison": "==", "threshold": 1}]}
    own = project(gates={"verify": gate})
    assert CONTROL_TOTALS_OFF not in {item.metric for item in criteria(own, "verify")}
    asked = {item.metric: item for item in criteria(own, "verify", control_totals=2)}
    assert (asked[CONTROL_TOTALS_OFF].threshold, asked[CONTROL_TOTALS_OFF].blocking) == (0, True)
    named = {"criteria": [{"metric": CONTROL_TOTALS_OFF, "comparison": "<=", "threshold": 1}]}
    (only,) = criteria(project(gates={"verify": named}), "verify", control_totals=2)
    assert only.threshold == 1
