"""Each test injects one known defect into what the target holds and demands that it is found, with the right count."""

from __future__ import annotations

import pytest

from rollout.connectors.base import TargetRecord

CLEAN = {
    "missing": 0,
    "duplicate": 0,
    "extra": 0,
    "different": 0,
    "relations_broken": 0,
    "held": 0,
    "other_waves": 0,
    "other": 0,
}


def figures(result):
    return {name: getattr(result, name) for name in CLEAN}


def test_a_flawless_load_is_found_flawless(world):
    result = world.reconcile()
    assert {name: figures(item) for name, item in result.items()} == {"account": CLEAN, "contact": CLEAN}
    assert (result["account"].expected, result["account"].observed, result["account"].ok) == (20, 20, 20)
    assert (result["contact"].ok, result["contact"].relations) == (30, 30)
    assert {row.status for row in world.rows("contact").values()} == {"ok"}
    assert world.fields("contact") == []


def test_dropped_rows_are_missing(world):
    world.drop("contact", 3, 7, 11)
    result = world.reconcile()["contact"]
    assert figures(result) == {**CLEAN, "missing": 3}
    assert sorted(key for key, row in world.rows("contact").items() if row.status == "missing") == [
        "C-11",
        "C-3",
        "C-7",
    ]


def test_a_dropped_parent_is_missing_and_its_children_dangle(world):
    world.drop("account", 5)
    result = world.reconcile()
    assert figures(result["account"]) == {**CLEAN, "missing": 1}
    assert figures(result["contact"]) == {**CLEAN, "different": 2, "relations_broken": 2}
    assert ("C-5", "account", "relation", "A-5", "Ta5") in world.fields("contact")


def test_a_blanked_field_in_k_rows(world):
    for number in (1, 2, 3, 4):
        world.edit("account", number, region=None)
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "different": 4}
    assert result.wrong_fields == {"region": 4}
    assert ("A-1", "region", "value", "华东", None) in [
        (*row[:4], row[4] if isinstance(row[4], str) else None) for row in world.fields("account")
    ]


def test_two_rows_swapped(world):
    world.edit("account", 1, name="示例公司2")
    world.edit("account", 2, name="示例公司1")
    assert figures(world.reconcile()["account"]) == {**CLEAN, "different": 2}


def test_a_value_nobody_loaded(world):
    world.golden["account"]["src:account1"]["region"] = None
    assert figures(world.reconcile()["account"]) == {**CLEAN, "different": 1}


def test_a_field_set_not_to_be_verified_is_left_alone(world):
    world.edit("account", 1, remark="y")
    assert figures(world.reconcile()["account"]) == CLEAN


@pytest.mark.parametrize("points_to", ["Ta19", "T-nowhere", None])
def test_a_relation_that_leads_elsewhere(world, points_to):
    world.edit("contact", 4, account=points_to)
    result = world.reconcile()["contact"]
    assert figures(result) == {**CLEAN, "different": 1, "relations_broken": 1}
    assert world.rows("contact")["C-4"].status == "different"
    assert world.rows("contact")["C-4"].broken_relations == 1


def test_a_relation_to_a_copy_of_the_right_parent(world):
    world.records["account"].append(TargetRecord("account", "A-4", "Ta4bis", {"name": "示例公司4", "region": "华东"}))
    world.edit("contact", 4, account="Ta4bis")
    result = world.reconcile()
    assert figures(result["account"]) == {**CLEAN, "duplicate": 1}
    assert figures(result["contact"]) == {**CLEAN, "different": 1, "relations_broken": 1}


def test_a_relation_where_none_was_loaded(world):
    world.golden["contact"]["src:contact4"]["account"] = None
    assert figures(world.reconcile()["contact"]) == {**CLEAN, "different": 1, "relations_broken": 1}


def test_a_duplicate_is_seen_and_our_own_copy_is_compared(world):
    world.records["account"].insert(0, TargetRecord("account", "A-4", "A-first", {"name": "anders"}))
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "duplicate": 1}
    row = world.rows("account")["A-4"]
    assert (row.status, row.copies, row.target_id, row.wrong_fields) == ("duplicate", 2, "Ta4", 0)


def test_a_record_under_a_key_we_never_gave(world):
    world.records["account"].append(TargetRecord("account", "A-999", "X1", {"name": "陌生"}))
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "extra": 1}
    assert world.rows("account")["A-999"].reason == "never_made"


def test_records_without_key_are_counted_apart(world):
    world.records["account"] += [TargetRecord("account", None, f"X{n}", {"name": "手工录入"}) for n in range(3)]
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "other": 3}
    assert result.observed == 23


@pytest.mark.parametrize("state", ["rejected", "conflict", "unknown", "waiting", "not_loaded"])
def test_a_row_that_should_not_be_there_is_looked_for(world, state):
    world.load("account", 50, {"name": "示例公司50"}, state)
    assert figures(world.reconcile()["account"]) == CLEAN
    world.records["account"].append(TargetRecord("account", "A-50", "Ta50", {"name": "示例公司50"}))
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "extra": 1}
    assert world.rows("account")["A-50"].reason == state


def test_a_record_of_an_earlier_load_is_held_not_extra(world):
    world.crosswalk["account"]["A-4"][3] = "conflict"
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "held": 1}
    assert result.expected == 19


def test_a_record_made_anew_under_our_key(world):
    world.drop("account", 4)
    world.records["account"].append(TargetRecord("account", "A-4", "other", {"name": "示例公司4", "region": "华东"}))
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "different": 1}
    assert result.wrong_fields == {"_target_id": 1}


def test_a_loaded_key_without_golden_record(world):
    del world.golden["account"]["src:account4"]
    world.reconcile()
    row = world.rows("account")["A-4"]
    assert (row.status, row.reason) == ("different", "no_golden_record")


def test_a_field_left_to_people_is_not_judged(world):
    world.edit("account", 1, region="华南")
    world.edit("account", 2, region="华南")
    world.kept["account"] = [("A-1", "region")]
    result = world.reconcile()["account"]
    assert figures(result) == {**CLEAN, "different": 1}
    assert result.kept == 1


def test_a_record_read_twice_is_one_record(world):
    world.records["account"].append(world.records["account"][0])
    result = world.reconcile()["account"]
    assert figures(result) == CLEAN
    assert result.observed == 20


def test_an_empty_target_lacks_everything(world):
    world.records = {"account": [], "contact": []}
    result = world.reconcile()
    assert (result["account"].missing, result["contact"].missing, result["contact"].relations) == (20, 30, 0)


def test_nothing_loaded_is_no_evidence(world):
    world.crosswalk["account"].clear()
    world.records["account"].clear()
    result = world.reconcile("account")
    assert list(result) == ["account"]
    assert (result["account"].expected, result["account"].ok) == (0, 0)


def test_names_and_values_with_quotes_do_no_harm(world):
    world.edit("account", 1, name='Robert\'); DROP TABLE "judged"; --')
    assert figures(world.reconcile()["account"]) == {**CLEAN, "different": 1}


def test_records_that_a_sync_carried_are_not_ours_but_those_that_a_load_made_under_such_a_key_are(world):
    world.records["account"] += [
        TargetRecord("account", key, f"S{key}", {"name": "示例公司"}) for key in ("erp:1", "erp:2", "erq:1")
    ]
    assert figures(world.reconcile()["account"]) == {**CLEAN, "extra": 3}
    world.carried["account"] = ("erp:",)
    assert figures(world.reconcile()["account"]) == {**CLEAN, "extra": 1, "other": 2}
    world.carried["account"] = ("A-1", "erq:")
    assert figures(world.reconcile()["account"]) == {**CLEAN, "extra": 2, "other": 1}
    world.drop("account", 1)
    assert figures(world.reconcile()["account"]) == {**CLEAN, "extra": 2, "other": 1, "missing": 1}
