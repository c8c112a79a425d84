"""Suggestions: the right column for each field, with reasons; nothing where nothing speaks for it."""

from __future__ import annotations

import pytest

from rollout.mapping.suggest import Column, Known, suggest, value_lines
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldSpec, FieldType

CONTEXT = TransformContext(owner_map={"张伟": "zhang.wei", "李娜": "li.na"}, placeholders=("无",))
FIELDS = {
    "name": FieldSpec(label="客户名称"),
    "phone": FieldSpec(type=FieldType.PHONE, label="电话"),
    "region": FieldSpec(type=FieldType.PICKLIST, label="区域", picklist=("华东", "华南")),
    "owner": FieldSpec(label="负责人"),
    "founded": FieldSpec(type=FieldType.DATE, label="成立日期"),
    "account": FieldSpec(type=FieldType.REFERENCE, label="上级客户", references="account"),
}


def column(name, *cells):
    return Column(name, len(cells), [(cell, 1) for cell in cells])


def found(fields, *columns, **known):
    return {item.target: item for item in suggest(fields, columns, Known(CONTEXT, **known))}


def test_names_synonyms_values_and_references_speak_for_columns():
    made = found(
        FIELDS,
        column("单位名称", "甲公司", "乙公司"),
        column("Tel.", "13800138000", "021-62345678"),
        column("片区", "华东区", "华南", "无"),
        column("业务员", "张伟", "李娜"),
        column("成立时间", "2015-03-08", "03/04/2015", "25/12/2015"),
        column("集团", "C001", "C002"),
        parents={"account": frozenset({"c001", "c002"})},
    )
    assert {name: item.column for name, item in made.items()} == {
        "name": "单位名称",
        "phone": "Tel.",
        "region": "片区",
        "owner": "业务员",
        "founded": "成立时间",
        "account": "集团",
    }
    assert [str(reason) for reason in made["phone"].reasons] == ["synonym", "type 100%"]
    assert [str(reason) for reason in made["account"].reasons] == ["reference 100%"]
    assert (made["name"].transform, made["owner"].transform) == ("company_name", "owner")
    assert [(line.raw, line.value) for line in made["region"].values] == [("华东区", "华东")]
    assert (made["founded"].must_confirm, made["founded"].date_format) == (True, "%d/%m/%Y")
    assert made["account"].lookup == "account"


def test_headers_in_traditional_characters_are_read_as_simplified_ones():
    made = found(FIELDS, column("公司名稱", "甲公司"), column("電話", "13800138000"), column("負責人", "張偉"))
    assert {name: item.column for name, item in made.items()} == {
        "name": "公司名稱",
        "phone": "電話",
        "owner": "負責人",
    }


def test_a_list_of_people_in_english_has_words_of_its_own():
    fields = {
        "first_name": FieldSpec(),
        "surname": FieldSpec(),
        "town": FieldSpec(),
        "born": FieldSpec(type=FieldType.DATE),
    }
    made = found(
        fields,
        column("Family name", "Example"),
        column("Forename", "Ann"),
        column("City", "Leeds"),
        column("DOB", "1980-02-03"),
    )
    assert {name: item.column for name, item in made.items()} == {
        "first_name": "Forename",
        "surname": "Family name",
        "town": "City",
        "born": "DOB",
    }


def test_values_that_contradict_the_name_take_the_suggestion_back():
    assert found(FIELDS, column("电话", "见附件", "张伟", "待定")) == {}


def test_numbers_and_dates_under_foreign_names_are_left_alone():
    fields = {"founded": FIELDS["founded"], "employees": FieldSpec(type=FieldType.INTEGER, label="员工人数")}
    assert found(fields, column("X1", "2015-03-08"), column("X2", "17")) == {}


def test_cells_of_another_source_speak_for_a_column():
    fields = {"grade": FieldSpec(label="评级")}
    assert found(fields, column("客户级别", "A", "B"), values={"grade": frozenset({"a", "b"})})["grade"].score > 0.6


@pytest.mark.parametrize(
    ("cell", "value"),
    [("建材", "建筑材料"), ("化学工业", "化工"), ("化工 ", "化工"), ("精细化工", "化工"), ("材", None), ("其他", None)],
)
def test_what_a_cell_may_stand_for(cell, value):
    lines = value_lines([(cell, 3)], ("建筑材料", "化工"), CONTEXT)
    assert [line.value for line in lines] == ([] if cell.strip() == "化工" else [value])


def test_what_the_map_knows_and_placeholders_need_no_line():
    assert value_lines([("无", 1), ("建材", 1)], ("建筑材料",), CONTEXT, {"建材": "建筑材料"}) == []
