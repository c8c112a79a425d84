"""Rules and tables as cells, and cells back: what nobody touched stays as it was written."""

from __future__ import annotations

import pytest
import yaml

from rollout.mapping.rule_cells import EDITABLE, CellError, cells_of, changes_of
from rollout.mapping.table_edit import edited_table, table_lines
from rollout.model.entity import FieldSpec, FieldType

DATE = FieldSpec(type=FieldType.DATE)
TEXT = FieldSpec()
RULE = {
    "target": "x",
    "source": ["甲", "乙"],
    "transform": ["text", {"value_map": {"file": "m.csv"}}],
    "on_error": "default",
    "default": "false",
}


def changed(rule, field=TEXT, **cells):
    return changes_of(rule, cells, field, yaml.safe_load)


def test_a_rule_as_cells():
    cells = cells_of(RULE)
    assert set(cells) == set(EDITABLE)
    assert cells["source_columns"] == "甲 | 乙"
    assert cells["transform"] == "[text, {value_map: {file: m.csv}}]"
    assert (cells["required"], cells["on_error"], cells["default"]) == ("no", "default", "false")
    assert set(cells_of(None).values()) == {""}


def test_cells_as_a_rule():
    assert changed(RULE, source_columns="丙|丁") == {"source": ["丙", "丁"]}
    assert changed(RULE, source_columns="丙", transform="phone") == {"source": "丙", "transform": "phone"}
    assert changed(RULE, source_columns="", const="A") == {"source": None, "const": "A"}
    assert changed(RULE, required="yes", optional="no") == {"required": True, "optional": None}
    assert changed(RULE, on_error="reject") == {"on_error": "reject"}
    assert changed({"target": "x"}, on_error="reject") == {"on_error": None}
    assert changed(RULE, confirmed_on="2026/03/01") == {"confirmed_on": "2026-03-01"}


@pytest.mark.parametrize(
    ("transform", "pattern", "expected"),
    [
        ("date", "%d/%m/%Y", {"date": {"format": "%d/%m/%Y"}}),
        (None, "%d/%m/%Y", {"date": {"format": "%d/%m/%Y"}}),
        (["text", "date"], "mixed", ["text", {"date": {"format": "mixed"}}]),
        ({"date": {"format": "%d/%m/%Y"}}, "", "date"),
        ({"name": "date", "args": {"format": "%d/%m/%Y"}}, "%m/%d/%Y", {"date": {"format": "%m/%d/%Y"}}),
        ({"date": "%d/%m/%Y"}, "%m/%d/%Y", {"date": {"format": "%m/%d/%Y"}}),
    ],
)
def test_the_confirmed_date_format_has_a_cell_of_its_own(transform, pattern, expected):
    rule = {"target": "x", "transform": transform}
    assert changed(rule, DATE, date_format=pattern) == {"transform": expected}
    assert cells_of({"target": "x", "transform": expected})["date_format"] == pattern


@pytest.mark.parametrize(
    "cells",
    [{"required": "maybe"}, {"on_error": "drop"}, {"transform": "1"}, {"confirmed_on": "2026-13-01"}],
)
def test_what_cannot_be_understood_is_refused(cells):
    with pytest.raises(CellError):
        changed(RULE, **cells)
    with pytest.raises(CellError, match="only date fields"):
        changed(RULE, date_format="%d/%m/%Y")


TABLE = '\ufeffraw,value,note\r\n东,华东,"a, b"\r\n\r\n"多\n行",华南,\r\n南 ,华南,x'


def test_a_table_s_other_lines_stay_byte_for_byte():
    assert table_lines(TABLE, "raw", "value") == [("东", "华东"), ("多\n行", "华南"), ("南", "华南")]
    assert edited_table(TABLE, "raw", "value", {}) == TABLE
    done = edited_table(TABLE, "raw", "value", {"南": "华东", "北": "华北, 北", "没有": None})
    assert done == TABLE.replace("南 ,华南,x", '南 ,华东,x\r\n北,"华北, 北",\r\n')
    assert edited_table(TABLE, "raw", "value", {"东": None}) == TABLE.replace('东,华东,"a, b"\r\n', "")
    assert edited_table(TABLE, "raw", "value", {"北": "华北"}) == TABLE + "\r\n北,华北,\r\n"


def test_a_key_in_several_spellings_changes_in_all_its_lines():
    text = "raw,value\nＡ,x\na ,x\nb,y\n"
    assert edited_table(text, "raw", "value", {"A": "z"}) == "raw,value\nＡ,z\na ,z\nb,y\n"
    assert edited_table(text, "raw", "value", {"a": None, "c": "w"}) == "raw,value\nb,y\nc,w\n"
