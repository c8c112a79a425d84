"""A chunk through its mapping: every row in exactly one place, every problem told, raw values kept."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rollout.cleanse.chunk import cleanse_chunk
from rollout.cleanse.rules import compile_mapping
from rollout.errors import ConfigError
from rollout.mapping.spec import MappingSpec
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldSpec

FIELDS = {
    "name": FieldSpec(required=True, max_length=6),
    "phone": FieldSpec(type="phone"),
    "level": FieldSpec(type="picklist", picklist=("A", "B")),
    "active": FieldSpec(type="boolean"),
    "kind": FieldSpec(),
    "note": FieldSpec(),
}
RULES = [
    {"target": "name", "source": ["名称", "简称"], "transform": "company_name"},
    {"target": "phone", "source": "电话"},
    {"target": "level", "source": "等级", "transform": "upper", "on_error": "null"},
    {"target": "active", "source": "有效", "on_error": "default", "default": "否"},
    {"target": "kind", "const": "客户"},
]
CONTEXT = TransformContext(placeholders=("无",))


def plans(rules=RULES, fields=FIELDS):
    return compile_mapping(MappingSpec(entity="account", source="s", fields=rules), fields, CONTEXT)


def raw(*rows):
    columns = ("名称", "简称", "电话", "等级", "有效")
    table = {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(columns)}
    keys = ["@f#2" if not any(row) else str(at) for at, row in enumerate(rows)]
    table |= {"_key": keys, "_source_key": [f"s:{key}" for key in keys], "_source": ["s"] * len(rows)}
    table |= {"_file": ["f"] * len(rows), "_line": list(range(2, 2 + len(rows)))}
    return pa.table({**table, "_repeats": pa.nulls(len(rows), pa.string())})


def test_each_row_is_in_one_place_and_says_why():
    table = raw(
        ("甲公司", None, "13800138000", "a", "是"),
        ("无", "乙公司", "12", "C", "?"),
        (None, None, "34", "A", "是"),
        (None, None, "", None, ""),
    )
    done = cleanse_chunk(table, plans(), CONTEXT, priority=3)
    assert done.clean.select(["name", "phone", "level", "active", "kind", "note", "_source_key", "_priority"]).to_pylist() == [
        {
            "name": "甲公司", "phone": "+8613800138000", "level": "A", "active": "true", "kind": "客户", "note": None,
            "_source_key": "s:0", "_priority": 3,
        }
    ]  # fmt: skip
    told = [(row["_source_key"], row["field"], row["value"], row["reason_code"]) for row in done.problems.to_pylist()]
    assert told == [
        ("s:2", "name", None, "required_missing"),
        ("s:1", "phone", "12", "phone_invalid"),
        ("s:2", "phone", "34", "phone_invalid"),
    ]
    assert done.rejected["_source_key"].to_pylist() == ["s:1", "s:2"]
    assert done.blank.to_pylist() == ["s:@f#2"]
    assert {(what, remark.rows, remark.first) for what, remark in done.remarks.items()} == {
        (("level", "not_in_picklist", "dropped"), 1, "s:1"),
        (("active", "boolean_invalid", "defaulted"), 1, "s:1"),
    }


def test_too_long_text_is_held_back_with_its_raw_value():
    done = cleanse_chunk(raw((" 一二三四五六七 ", None, None, None, None)), plans(), CONTEXT)
    assert done.problems.select(["value", "reason_code"]).to_pylist() == [
        {"value": " 一二三四五六七 ", "reason_code": "too_long"}
    ]
    assert done.clean.num_rows == 0


def test_a_required_rule_treats_an_empty_cell_as_an_error():
    rules = [*RULES[:1], {"target": "phone", "source": "电话", "required": True}]
    done = cleanse_chunk(raw(("甲", None, None, None, None)), plans(rules), CONTEXT)
    assert done.problems["reason_code"].to_pylist() == ["required_missing"]


def test_a_required_field_is_not_saved_by_on_error_null():
    fields = FIELDS | {"phone": FieldSpec(type="phone", required=True)}
    rules = [*RULES[:1], {"target": "phone", "source": "电话", "on_error": "null"}]
    done = cleanse_chunk(raw(("甲", None, "12", None, None)), plans(rules, fields), CONTEXT)
    assert done.problems["reason_code"].to_pylist() == ["phone_invalid"]


def test_formulas_and_control_characters_are_kept_and_remarked():
    rules = [*RULES[:1], {"target": "note", "source": "电话"}]
    done = cleanse_chunk(
        raw(("甲", None, "=1+1", None, None), ("乙", None, "a\x01b", None, None)), plans(rules), CONTEXT
    )
    assert done.clean["note"].to_pylist() == ["=1+1", "ab"]
    assert set(done.remarks) == {("note", "formula_like", "kept"), ("note", "control_characters", "kept")}


def test_an_empty_chunk():
    done = cleanse_chunk(raw(("甲", None, None, None, None)).slice(0, 0), plans(), CONTEXT)
    assert (done.clean.num_rows, done.rejected.num_rows, done.problems.num_rows, len(done.blank)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"target": "nmae", "source": "名称"}, "'nmae' is not a field"),
        ({"target": "name", "source": "名称", "transform": "trim"}, "no transform is called 'trim'"),
        ({"target": "active", "source": "有效", "on_error": "default", "default": "maybe"}, "is no value of a boolean"),
        ({"target": "level", "source": "等级", "on_error": "default", "default": "Z"}, "use one of: A, B"),
    ],
)
def test_a_mapping_that_cannot_run_is_refused_before_any_row(rule, told):
    with pytest.raises(ConfigError, match=told):
        plans([rule])


def test_all_errors_of_a_mapping_are_told_at_once():
    rules = [{"target": "x", "source": "a"}, {"target": "name", "source": "a", "transform": "y"}]
    with pytest.raises(ConfigError, match=r"'x' is not a field.*no transform is called 'y'"):
        plans(rules)
