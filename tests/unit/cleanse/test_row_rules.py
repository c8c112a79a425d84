"""Rules over whole rows: each check finds what breaks it and nothing else; each action does what it says."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

from rollout.cleanse.chunk import cleanse_chunk
from rollout.cleanse.row_rules import broken
from rollout.cleanse.rules import compile_mapping, compile_rules
from rollout.cleanse.spec import RowRule
from rollout.cleanse.words import RowWord, Words, row_hash
from rollout.errors import ConfigError
from rollout.mapping.spec import MappingSpec
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldSpec

FIELDS = {
    "starts_on": FieldSpec(type="date"),
    "ends_on": FieldSpec(type="datetime"),
    "amount": FieldSpec(type="decimal"),
    "phone": FieldSpec(),
    "email": FieldSpec(),
    "kind": FieldSpec(type="picklist", picklist=("公司", "个人")),
    "owner": FieldSpec(references="user", type="reference"),
}


def breaks(rule, **columns):
    length = len(next(iter(columns.values())))
    every = {name: pa.array(columns.get(name, [None] * length), pa.string()) for name in FIELDS}
    return broken(RowRule(name="r", **rule), every, FIELDS, time_zone="Asia/Shanghai").to_pylist()


@pytest.mark.parametrize(
    ("rule", "columns", "expected"),
    [
        (
            {"check": "order", "fields": ["starts_on", "ends_on"]},
            {
                "starts_on": ["2024-01-02", "2024-01-01", "2024-01-01", None],
                "ends_on": ["2024-01-01T23:00:00Z", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z"],
            },
            [False, False, False, False],  # an hour before midnight in London is the next day in Shanghai
        ),
        (
            {"check": "order", "fields": ["starts_on", "ends_on"]},
            {
                "starts_on": ["2024-01-02", "2024-01-02", "2024-01-02"],
                "ends_on": ["2024-01-01T15:59:59Z", "2024-01-01T16:00:00Z", None],
            },
            [True, False, False],
        ),
        (
            {"check": "range", "fields": ["ends_on"], "min": "2024-01-02", "max": "2024-01-02"},
            {"ends_on": ["2024-01-01T15:59:59Z", "2024-01-01T16:00:00Z", "2024-01-02T16:00:00Z", None]},
            [True, False, True, False],
        ),
        (
            {"check": "range", "fields": ["amount"], "min": "0", "max": "10.5"},
            {"amount": ["-0.01", "0", "9", "10.5", "10.51", "100", None]},
            [True, False, False, False, True, True, False],
        ),
        (
            {"check": "range", "fields": ["starts_on"], "min": "2000-01-01"},
            {"starts_on": ["1999-12-31", "2000-01-01"]},
            [True, False],
        ),
        (
            {"check": "pattern", "fields": ["phone"], "pattern": "a|b+"},
            {"phone": ["a", "bb", "ab", "xa", None]},
            [False, False, True, True, False],
        ),
        (
            {"check": "any_of", "fields": ["phone", "email"]},
            {"phone": ["1", None, None], "email": [None, "e", None]},
            [False, False, True],
        ),
        (
            {"check": "required_if", "fields": ["phone"], "when": {"kind": ["公司"]}},
            {"phone": [None, None, "1", None], "kind": ["公司", "个人", "公司", None]},
            [True, False, False, False],
        ),
    ],
)  # fmt: skip
def test_a_check_finds_what_breaks_it(rule, columns, expected):
    assert breaks(rule, **columns) == expected


@pytest.mark.parametrize(
    "rule",
    [
        {"check": "order", "fields": ["starts_on"]},
        {"check": "range", "fields": ["amount"]},
        {"check": "any_of", "fields": ["phone", "email"], "min": "1"},
        {"check": "pattern", "fields": ["phone"], "pattern": "("},
        {"check": "range", "fields": ["amount"], "min": "0", "action": "default"},
        {"check": "any_of", "fields": ["phone", "email"], "action": "null"},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule):
    with pytest.raises(ValidationError):
        RowRule(name="r", **rule)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"check": "range", "fields": ["no"], "min": "1"}, "no field"),
        ({"check": "range", "fields": ["phone"], "min": "1"}, "no common order"),
        ({"check": "order", "fields": ["starts_on", "amount"]}, "no common order"),
        ({"check": "range", "fields": ["amount"], "min": "viel"}, "no number"),
        ({"check": "any_of", "fields": ["owner", "phone"]}, "reference"),
        ({"check": "range", "fields": ["amount"], "min": "1", "action": "default", "default": "x"}, "no value"),
    ],
)
def test_a_rule_that_does_not_fit_its_fields_is_refused(rule, told):
    with pytest.raises(ConfigError, match=told):
        compile_rules([RowRule(name="r", **rule)], FIELDS, TransformContext(), where="order")


def chunk(rows, rules, words=()):
    mapping = MappingSpec(
        entity="order",
        source="s",
        fields=[{"target": "amount", "source": "金额"}, {"target": "phone", "source": "电话"}],
    )
    fields = {"amount": FIELDS["amount"], "phone": FieldSpec(type="phone")}
    keys = [f"s:{at}" for at in range(len(rows))]
    table = pa.table(
        {
            "金额": pa.array([row[0] for row in rows], pa.string()),
            "电话": pa.array([row[1] for row in rows], pa.string()),
            "_key": [key[2:] for key in keys],
            "_source_key": keys,
            "_source": ["s"] * len(rows),
            "_file": ["f"] * len(rows),
            "_line": list(range(2, 2 + len(rows))),
            "_repeats": pa.nulls(len(rows), pa.string()),
        }
    )
    context = TransformContext()
    compiled = compile_rules([RowRule(name="金额为正", **rule) for rule in rules], fields, context, where="order")
    return cleanse_chunk(table, compile_mapping(mapping, fields, context), context, rules=compiled, words=Words(words))


POSITIVE = {"check": "range", "fields": ["amount"], "min": "0"}


def test_a_breach_holds_the_row_back_with_the_rules_name():
    done = chunk([("-1", None), ("1", None)], [POSITIVE])
    assert done.clean["amount"].to_pylist() == ["1"]
    (told,) = done.problems.to_pylist()
    assert (told["field"], told["value"], told["reason_code"]) == ("amount", "-1", "rule_range")
    assert told["message"].endswith("(金额为正)")


def test_a_breach_may_be_final_drop_the_value_or_replace_it():
    assert chunk([("-1", None)], [POSITIVE | {"action": "reject"}]).problems["reason_code"].to_pylist() == [
        "rule_refused"
    ]
    dropped = chunk([("-1", None)], [POSITIVE | {"action": "null"}])
    assert dropped.clean["amount"].to_pylist() == [None]
    assert dropped.remarks["amount", "rule_range", "dropped"].rows == 1
    replaced = chunk([("-1", None)], [POSITIVE | {"action": "default", "default": "0.50"}])
    assert replaced.clean["amount"].to_pylist() == ["0.5"]
    assert replaced.remarks["amount", "rule_range", "defaulted"].rows == 1


def test_what_two_rules_drop_of_a_field_is_counted_together():
    most = {"check": "range", "fields": ["amount"], "max": "9", "action": "null"}
    done = chunk([("-1", None), ("10", None), ("1", None)], [POSITIVE | {"action": "null"}, most])
    remark = done.remarks["amount", "rule_range", "dropped"]
    assert (remark.rows, remark.first) == (2, "s:0")


def test_a_repair_goes_through_the_transforms_and_the_rules():
    words = [
        RowWord("s:0", "", fields=(("amount", "１２"), ("phone", "138 0013 8000"))),
        RowWord("s:1", "", fields=(("amount", "-3"),)),
        RowWord("s:2", "", fields=(("amount", "无"),)),
    ]
    done = chunk([("-1", "12"), ("-2", None), ("-3", None), ("4", None)], [POSITIVE], words)
    kept = dict(zip(done.clean["_source_key"].to_pylist(), done.clean["amount"].to_pylist(), strict=True))
    assert kept["s:0"] == "12"
    assert kept["s:3"] == "4"
    assert done.clean["phone"].to_pylist()[0] == "+8613800138000"
    assert "s:1" in done.rejected["_source_key"].to_pylist()


def test_a_row_that_was_left_out_is_nowhere_else():
    done = chunk([("-1", "12"), ("1", None)], [POSITIVE], [RowWord("s:0", "", left_out=True)])
    assert done.left_out["_source_key"].to_pylist() == ["s:0"]
    assert done.clean["_source_key"].to_pylist() == ["s:1"]
    assert done.problems.num_rows == done.rejected.num_rows == 0


def test_cells_are_counted_by_what_became_of_them():
    done = chunk([("1", "13800138000"), ("１", "12"), ("", None)], [])
    assert vars(done.volumes["amount"]) == {"filled": 2, "kept": 2, "changed": 1}
    assert vars(done.volumes["phone"]) == {"filled": 2, "kept": 1, "changed": 1}


def test_a_row_is_the_same_wherever_it_stands_and_another_as_soon_as_a_cell_differs():
    assert row_hash({"a": "1", "b": None}) == row_hash({"b": "", "a": "1"})
    assert row_hash({"a": "1"}) != row_hash({"a": "1 "})
    assert row_hash({"a": "1"}) != row_hash({"b": "1"})
