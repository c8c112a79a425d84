"""Which wave each row is in: filters in order, children after their parents, held-back rows by what can be read."""

from __future__ import annotations

import pytest

from rollout.phases.cleanse import ledger_rows

TWO = "waves: [{name: pilot, where: {account: {region: [华东]}}}, {name: rest}]"
CODE = "91110000600037341L"


@pytest.fixture
def small(small):
    """With both regions in the value map."""
    small.replace("mappings/region.csv", "东,华东", "东,华东\n南,华南")
    return small


def waves(small, declared=TWO):
    """Cleanse; answers the wave and disposition of each source row, by entity."""
    path = small.root / "rollout.yaml"
    kept = "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if not line.startswith("waves:"))
    path.write_text(f"{kept}{declared}\n", encoding="utf-8")
    found = {}
    for entity, done in small.cleanse().items():
        rows = list(ledger_rows(small.store, done))
        found[entity] = {key: (wave, disposition) for key, disposition, _, _, wave in rows}
        assert len(found[entity]) == len(rows) == done.source == sum(done.waves.values())
        assert done.accounted
        assert {name: sum(wave == name for wave, _ in found[entity].values()) for name in done.waves} == done.waves
    return found


def test_records_go_by_the_filter_and_their_children_with_them(small):
    small.accounts("E1|甲公司||东", "E2|丙公司||华南", "E3|丁公司||")
    small.people("P1|张三|E1|", "P2|李四|E2|", "P3|王五||", "P4|赵六|S1|", "P5|钱七|E3|")
    found = waves(small)
    assert found["account"] == {
        "east:E1": ("pilot", "golden"),
        "east:E2": ("rest", "golden"),
        "east:E3": ("rest", "golden"),
        "south:S1": ("rest", "golden"),
    }
    assert {key: wave for key, (wave, _) in found["contact"].items()} == {
        "people:P1": "pilot", "people:P2": "rest", "people:P3": "rest", "people:P4": "rest", "people:P5": "rest",
    }  # fmt: skip


def test_merged_rows_go_with_their_golden_record(small):
    small.accounts(f"E1|甲公司|{CODE}|东")
    small.accounts(f"S1|甲|{CODE}|华南", file="south.csv")
    small.people("P1|张三|S1|")
    found = waves(small)
    assert found["account"] == {"east:E1": ("pilot", "golden"), "south:S1": ("pilot", "merged")}
    assert found["contact"]["people:P1"] == ("pilot", "golden")


def test_rows_that_are_held_back_go_by_what_can_be_read(small):
    # No name; a mapped region, none, one that the rules drop.
    small.accounts("E1||x|东", " | | | ", "E2||x|", "E3||x|火星")
    small.people("P1|张三|E1|", "P2||E1|", "P3|李四|E2|", "P4|王五|E9|", "P5||S1|")
    found = waves(small)
    [blank] = [key for key in found["account"] if key.startswith("east:@")]
    assert found["account"].pop(blank) == ("rest", "skipped")
    assert found["account"] == {
        "east:E1": ("pilot", "quarantined"),
        "east:E2": ("rest", "quarantined"),
        "east:E3": ("rest", "quarantined"),
        "south:S1": ("rest", "golden"),
    }
    assert found["contact"] == {
        "people:P1": ("pilot", "quarantined"),  # its parent is, in the pilot
        "people:P2": ("pilot", "quarantined"),  # no name, but its parent can be read
        "people:P3": ("rest", "quarantined"),
        "people:P4": ("rest", "quarantined"),  # nobody has this key
        "people:P5": ("rest", "quarantined"),
    }


def test_an_own_filter_never_puts_a_child_before_its_parent(small):
    small.accounts("E1|甲公司||东", "E2|丙公司||南")
    small.accounts("S1|乙公司||南", file="south.csv")
    small.people("P1|张三|E1|", "P2|张三|E2|", "P3|李四|E1|", "P4|李四|E2|", "P5|张三||")
    declared = (
        "waves: [{name: first, where: {account: {region: [华东]}, contact: {name: [张三]}}},"
        " {name: second, where: {account: {region: [华南]}}}, {name: rest}]"
    )
    found = waves(small, declared)
    assert {key: wave for key, (wave, _) in found["account"].items()} == {
        "east:E1": "first", "east:E2": "second", "south:S1": "second",
    }  # fmt: skip
    assert {key: wave for key, (wave, _) in found["contact"].items()} == {
        "people:P1": "first",
        "people:P2": "second",  # its filter says first, its parent comes second
        "people:P3": "rest",  # the first wave names contacts, and does not want this one
        "people:P4": "second",
        "people:P5": "first",
    }


def test_one_wave_takes_everything(small):
    small.accounts("E1|甲公司||东", "E2||x|")
    found = waves(small, "")
    assert {wave for rows in found.values() for wave, _ in rows.values()} == {"all"}


@pytest.mark.parametrize(
    "declared",
    [
        TWO.replace("华东", "华南"),
        TWO.replace("pilot", "first"),
        "waves: [{name: rest}]",
        TWO.replace("where: {account: {region: [华东]}}", "where: {contact: {name: [张三]}}"),
    ],
)
def test_another_filter_makes_new_stages_of_all_that_rests_on_it(small, declared):
    waves(small)
    before = {entity: done.key for entity, done in small.cleanse().items()}
    waves(small, declared)
    after = {entity: done.key for entity, done in small.cleanse().items()}
    assert all(after[entity] != before[entity] for entity in before)
