"""Figures of the profile against an independent computation in plain Python."""

from __future__ import annotations

import random
import re

import pytest
from stdnum.cn import uscc

from rollout.assess import profile as module
from rollout.assess.model import Ratio
from rollout.mapping.transforms_base import TransformContext


def test_figures_agree_with_plain_python(bench, good):
    rng = random.Random(11)
    pool = [None, "", " ", "-", "无", "a", "A1", "恒泰", " 恒泰 ", "长" * 12, "Ａ", "x\ny"]
    rows = [good(place, name=rng.choice(pool), phone=rng.choice([None, "13800138000", "1"])) for place in range(400)]
    found = bench.profile(rows)
    stripped = [(row["c name"] or "").strip(" \t\r\n\u00a0\u3000") for row in rows]
    filled = [text for text in stripped if text and text not in ("-", "无")]
    field = next(field for field in found.fields if field.column == "c name")
    assert field.rows == 400
    assert field.filled == len(filled)
    assert field.placeholders == sum(text in ("-", "无") for text in stripped)
    assert field.distinct == len(set(filled))
    assert (field.min_length, field.max_length) == (1, 12)
    assert field.too_long == sum(len(text) > 10 for text in filled)
    assert sum(shape.rows for shape in field.formats) == len(filled) == field.sampled
    # What is longer than the field is held back, too.
    bad_phone = sum(row["c phone"] == "1" for row in rows)
    ready = sum(
        bool(text and text not in ("-", "无")) and len(text) <= 10 and row["c phone"] != "1"
        for text, row in zip(stripped, rows, strict=True)
    )
    assert found.ready == ready
    assert found.readiness == Ratio(part=ready, whole=400)
    assert found.completeness == Ratio(part=len(filled), whole=400)
    assert found.validity.whole - found.validity.part == bad_phone


def test_credit_codes_are_judged_as_stdnum_does(bench, good):
    rng = random.Random(3)
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    codes = []
    for _ in range(300):
        body = "91310" + f"{rng.randrange(1000):03d}" + "".join(rng.choice(alphabet) for _ in range(9))
        codes.append(body + (uscc.calc_check_digit(body) if rng.random() < 0.5 else rng.choice(alphabet)))
    field = next(
        field
        for field in bench.profile([good(place, uscc=code) for place, code in enumerate(codes)]).fields
        if field.column == "c uscc"
    )
    assert field.invalid == sum(not uscc.is_valid(code) for code in codes)
    assert 50 < field.invalid < 250


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ("2015-03-08", "9999-99-99"),
        ("2015年3月8日", "9999年9月9日"),
        ("13800138000", "9{11}"),
        ("+8613800138000", "+9{13}"),
        ("021-52345678", "999-9{8}"),
        ("91310000MA1K35RU4P", "X{18}"),
        ("上海恒泰（集团）有限公司", "中（中）中"),
        ("张江路123号", "中9…中"),
        ("a.b@c.example", "a….a…@a….a…"),
        ("www.x.example", "a….a….a…"),
        ("二楼\n左", "中↵中"),
        ("１３８0", "９９９9"),
    ],
)
def test_pattern_classes(bench, good, value, pattern):
    field = next(f for f in bench.profile([good(1, name=value)]).fields if f.column == "c name")
    assert [shape.pattern for shape in field.formats] == [pattern]


def test_formats_of_many_rows_rest_on_an_even_sample(bench, good, monkeypatch):
    monkeypatch.setattr(module, "FORMAT_ROWS", 500)
    monkeypatch.setattr(module, "DISTINCT_ROWS", 500)
    # Every fourth row in another format: a step of 4 through the rows would see one of the two only.
    rows = [good(place, since="2015-03-08" if place % 4 else "2015/03/08") for place in range(4000)]
    field = next(f for f in bench.profile(rows).fields if f.column == "c since")
    assert 480 <= field.sampled <= 520
    assert field.formats[0].pattern == "9999-99-99"
    assert field.formats[0].rows / field.sampled == pytest.approx(0.75, abs=0.03)
    assert not field.distinct_exact
    assert field.distinct == 2


def test_examples_are_masked(bench, good):
    rows = [
        good(1, phone="13812345678", email="li.na@example.com", name="江南皮革厂") | {"身份证": "110101199003071234"}
    ]
    told = bench.profile(rows).model_dump_json()
    for secret in ("13812345678", "2345678", "li.na", "江南皮革", "110101199003071234", "91310000MA1K35RU4P"):
        assert secret not in told
    assert re.search(r"138\*+78", told)


def test_pick_list_values_are_listed_and_long_numbers_in_them_masked(bench, good):
    rows = [good(1, level="A"), good(2, level="A"), good(3, level="13812345678")]
    field = next(f for f in bench.profile(rows).fields if f.column == "c level")
    assert [(value.value, value.rows) for value in field.values] == [("A", 2), ("138******78", 1)]


def test_values_that_many_share_are_shown_and_others_masked(bench, good):
    names = ["恒泰经销"] * 6 + ["江南皮革厂"] * 2 + ["江北皮革厂"] * 2 + ["独一份"]
    rows = [good(place, name=name, phone="13812345678", staff=str(place)) for place, name in enumerate(names)]
    fields = {field.targets[0]: field for field in bench.profile(rows).fields if field.targets}
    assert [(one.value, one.rows) for one in fields["name"].top] == [("恒泰经销", 6), ("江***", 2)]
    assert [(one.value, one.rows) for one in fields["phone"].top] == [("138******78", 11)]


def test_numbers_and_days_have_a_range_of_what_the_mapping_makes_of_them(bench, good):
    rows = [good(1, staff="９", since="2015年3月8日"), good(2, staff="1,200"), good(3, staff="约5", since="1999/1/2")]
    fields = {field.targets[0]: field for field in bench.profile(rows).fields if field.targets}
    assert (fields["staff"].low, fields["staff"].high) == ("9", "1200")
    assert (fields["since"].low, fields["since"].high) == ("1999-01-02", "2015-03-08")
    assert fields["name"].low is None


def test_every_rule_that_is_broken_is_told_with_its_rows(bench, good):
    rows = [good(1, uscc="91310000MA1K35RU4J"), good(2, uscc="123"), good(3, uscc="456"), good(4)]
    (field,) = (field for field in bench.profile(rows).fields if field.targets == ("uscc",))
    told = [(one.code, one.done, one.rows) for one in field.violations]
    assert told == [("uscc_length", "quarantined", 2), ("uscc_check_digit", "quarantined", 1)]


def test_column_names_are_data_not_sql(bench, good):
    name = 'o"; DROP TABLE x; --'
    field = next(f for f in bench.profile([good(1) | {name: "v"}]).fields if f.column == name)
    assert field.filled == 1


def test_nothing_of_nothing_is_no_share():
    assert Ratio(part=0, whole=0).share is None


def test_columns_that_differ_in_case_alone_are_kept_apart(bench, good):
    fields = bench.profile([good(1) | {"Fax": "1", "fax": None}, good(2) | {"Fax": "2", "fax": "3"}]).fields
    assert {field.column: field.filled for field in fields if field.column.lower() == "fax"} == {"Fax": 2, "fax": 1}


@pytest.mark.parametrize(
    ("region", "number", "valid"),
    [
        ("US", "2262649", False),  # no area code: nobody outside the town can dial it
        ("US", "(312) 226-2649", True),
        ("US", "31222626491234", False),
        ("CN", "13812345678", True),
        ("CN", "2262649", False),
        ("CN", "13812345678/021-52345678", True),
        ("DE", "030 1234567", True),
    ],
)
def test_a_number_is_judged_as_cleansing_does(bench, good, region, number, valid):
    bench.context = TransformContext(phone_region=region)
    field = next(field for field in bench.profile([good(1, phone=number)]).fields if field.column == "c phone")
    assert field.invalid == (0 if valid else 1)
