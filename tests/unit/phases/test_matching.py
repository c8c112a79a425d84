"""Matching as cleansing does it: with a model, with people's words, and with the keys that records went by."""

from __future__ import annotations

from dataclasses import replace

import pyarrow.parquet as pq

from rollout.phases.past import keep_golden_keys, no_past
from rollout.phases.said import Said


def merged(small, done):
    table = pq.read_table(small.store.root / done["account"].merges_file)
    return dict(zip(table["source_key"].to_pylist(), table["golden_key"].to_pylist(), strict=True))


def golden(small, done, entity="account"):
    table = pq.read_table(small.store.root / done[entity].golden_file)
    return {row["_golden_key"]: row for row in table.to_pylist()}


CODE = "91110000600037341L"


def test_a_record_goes_on_by_the_row_it_went_by_and_takes_the_better_row_s_values(small):
    small.accounts(f"E1|甲公司|{CODE}|", f"E2|甲有限公司|{CODE}|东")
    plain = small.cleanse()
    assert merged(small, plain) == {"east:E1": "east:E2"}
    kept = keep_golden_keys(small.store, plain["account"], lambda keys: [key for key in keys if key == "east:E1"])
    assert (kept.golden, kept.merged, kept.accounted) == (plain["account"].golden, 1, True)
    assert kept.key != plain["account"].key
    assert merged(small, {"account": kept}) == {"east:E2": "east:E1"}
    record = golden(small, {"account": kept})["east:E1"]
    assert (record["name"], record["region"], record["_members"]) == ("甲有限公司", "华东", 2)
    assert keep_golden_keys(small.store, plain["account"], lambda _: ["east:E1", "east:E2"]) == plain["account"]


def test_children_follow_the_key_that_a_record_went_by(small):
    small.accounts(f"E1|甲公司|{CODE}|", f"E2|甲有限公司|{CODE}|东")
    small.people("P1|张三|E2|13800138000")
    past = replace(no_past(), held=lambda _: lambda keys: [key for key in keys if key == "east:E1"])
    done = small.cleanse(past=past)
    assert golden(small, done, "contact")["people:P1"]["account"] == "east:E1"


def test_a_person_s_word_about_a_pair_counts(small):
    small.accounts(f"E1|甲公司|{CODE}|", f"E2|甲有限公司|{CODE}|东", "E3|丙公司||")
    different = small.cleanse({"account": Said(pairs=(("east:E1", "east:E2", "different"),))})
    assert merged(small, different) == {}
    assert different["account"].review == 0
    same = small.cleanse({"account": Said(pairs=(("east:E1", "east:E3", "same"),))})
    assert set(merged(small, same)) | set(merged(small, same).values()) == {"east:E1", "east:E2", "east:E3"}


MODEL = """
match:
  account:
    keys: [{name: same code, fields: [uscc]}]
    model:
      comparisons: {name: company_name, uscc: exact}
      blocking: [[name]]
"""


def test_rows_that_are_there_weigh_the_same_when_more_come_and_nothing_is_computed_twice(small):
    text = (small.root / "rollout.yaml").read_text(encoding="utf-8")
    before, after = text.split("match:\n  account:\n    keys: [{name: same code, fields: [uscc]}]\n")
    (small.root / "rollout.yaml").write_text(before + MODEL.lstrip() + after, encoding="utf-8")
    brands = [first + second for first in "恒天明信博" for second in "远工达诚瑞泰源丰盛海"]
    names = [f"{place}{brand}机械有限公司" for place in ("上海", "苏州", "宁波", "无锡") for brand in brands]
    rows = [f"E{at}|{name}||" for at, name in enumerate([*names, *names[:60]])]
    small.accounts(*rows)
    past = no_past()
    first = small.cleanse(past=past)["account"]
    pairs = {(line["left_key"], line["right_key"]): line["weight"] for line in queue(small, first)}
    weights = pairs | merge_weights(small, first)
    assert weights
    again = small.cleanse(past=past)["account"]
    assert again == first
    small.accounts(*rows, "E99|无锡全新机械有限公司||")
    more = small.cleanse(past=past)["account"]
    pairs = {(line["left_key"], line["right_key"]): line["weight"] for line in queue(small, more)}
    assert pairs | merge_weights(small, more) == weights


def queue(small, done):
    return pq.read_table(small.store.root / done.review_file).to_pylist()


def merge_weights(small, done):
    lines = pq.read_table(small.store.root / done.merges_file).to_pylist()
    return {(line["source_key"], line["golden_key"]): line["weight"] for line in lines}
