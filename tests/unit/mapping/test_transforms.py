"""Each named transform against cells as people really write them: (cell, canonical text, reason code)."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from rollout.cleanse.reasons import REASONS
from rollout.errors import ConfigError
from rollout.mapping.spec import TransformStep
from rollout.mapping.transforms import (
    DEFAULT_TRANSFORM,
    TRANSFORMS,
    compile_steps,
    normalise,
    transform_series,
    value_map_files,
)
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldType

CONTEXT = TransformContext(
    placeholders=("-", "无", "N/A"),
    code_maps={"codes.csv": {"甲公司": {"k01": "C001", "k02": "C001", "k03": "C002"}}},
    value_maps={"region.csv": {"华东区": "华东", "east": "华东"}},
    owner_map={"张伟": "zhang.wei"},
)

TEXT = [
    ("  恒泰　精工 ", "恒泰 精工", None),
    ("ＡＢＣ－１２３", "ABC-123", None),
    ("上海，浦东（东区）", "上海，浦东（东区）", None),
    ("第一行\r\n第二行", "第一行 第二行", None),
    ("a\x00b\x1f", "ab", "control_characters"),
    ("\u200b﻿", None, None),
    ("⽤户", "用户", None),
    ("㎡①", "㎡①", None),
    ("e\u0301", "é", None),
    ("=SUM(A1)", "=SUM(A1)", "formula_like"),
    ("@cmd", "@cmd", "formula_like"),
    ("-5%返点", "-5%返点", "formula_like"),
    ("-5", "-5", None),
    ("+86 138-0013-8000", "+86 138-0013-8000", None),
    ("n/a", None, None),
    ("Ｎ／Ａ", None, None),
    ("", None, None),
    (None, None, None),
]
COMPANY_NAME = [
    ("恒泰精工(上海) 有限公司", "恒泰精工（上海）有限公司", None),
    ("恒泰 精 工 有限责任公司。", "恒泰精工有限责任公司", None),
    ("恒泰〔集团〕公司", "恒泰（集团）公司", None),
    ("Acme （ China ） Co., Ltd.", "Acme (China) Co., Ltd.", None),
    ("ＡＢＢ（中国）有限公司", "ABB（中国）有限公司", None),
    ("。，", None, "company_name_empty"),
]
MATCH_KEY = [
    ("恒泰精工(上海) 有限公司", "恒泰精工上海有限公司", None),
    ("恒泰精工（上海）有限责任公司", "恒泰精工上海有限公司", None),
    ("ACME (China) Co., Ltd.", "acmechinacoltd", None),
    ("Acme China Company Limited", "acmechinacoltd", None),
    ("Copper Corporation", "coppercorp", None),
    ("有限公司", None, None),
    ("(集团)有限公司", None, None),
]
PHONE = [
    ("13800138000", "+8613800138000", None),
    ("138 0013 8000", "+8613800138000", None),
    ("+86 138-0013-8000", "+8613800138000", None),
    ("0086-13800138000", "+8613800138000", None),
    ("８６１３８００１３８０００", "+8613800138000", None),
    ("13800138000.0", "+8613800138000", None),
    ("手机13800138000", "+8613800138000", None),
    ("16612345678", "+8616612345678", None),
    ("021-62345678", "+862162345678", None),
    ("(021)6234 5678", "+862162345678", None),
    ("（0512）6523-4567", "+8651265234567", None),
    ("86-21-62345678", "+862162345678", None),
    ("021-62345678转801", "+862162345678;ext=801", None),
    ("021-62345678-801", "+862162345678;ext=801", None),
    ("400-820-8820", "+864008208820", None),
    ("+1 212 555 0123", "+12125550123", None),
    ("+852 2123 4567", "+85221234567", None),
    ("13800138000/13900139000", "+8613800138000", "phone_several"),
    ("12345 / 13900139000", "+8613900139000", "phone_several"),
    ("13800138000\n13900139000", "+8613800138000", "phone_several"),
    ("62345678", None, "phone_no_area_code"),
    ("1380013800", None, "phone_invalid"),
    ("1.38001E+10", None, "phone_scientific"),
    ("电话", None, "phone_invalid"),
    ("-", None, None),
]
EMAIL = [
    ("zhang.wei@example.com", "zhang.wei@example.com", None),
    ("Zhang.Wei@Example.COM", "Zhang.Wei@example.com", None),
    ("mailto:a@example.com", "a@example.com", None),
    ("ａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "a@example.com", None),
    ("张三 <a@example.com>", "a@example.com", "email_extracted"),
    ("a@example.com；b@example.com", "a@example.com", "email_several"),
    ("a@intranet.local", "a@intranet.local", None),
    ("a@b", None, "email_invalid"),
    ("a..b@example.com", None, "email_invalid"),
    ("a@-x.com", None, "email_invalid"),
    ("微信号", None, "email_invalid"),
]
USCC = [
    ("91110000600037341L", "91110000600037341L", None),
    ("91110000600037341l", "91110000600037341L", None),
    ("9111 0000-6000 3734 1L", "91110000600037341L", None),
    ("９１１１００００６０００３７３４１Ｌ", "91110000600037341L", None),
    ("91110000600037341M", None, "uscc_check_digit"),
    ("9111O000600037341L", None, "uscc_characters"),
    ("9.1110000600037E+17", None, "uscc_scientific"),
    ("9E+17", None, "uscc_scientific"),
    ("110000600037341", None, "uscc_old_number"),
    ("60003734-1", None, "uscc_old_number"),
    ("9111000060003734", None, "uscc_length"),
]
DATE = [
    ("2023-01-05", "2023-01-05", None),
    ("2023/1/5", "2023-01-05", None),
    ("2023.1.5", "2023-01-05", None),
    ("2023年1月5日", "2023-01-05", None),
    ("2023 年 1 月 5 号", "2023-01-05", None),
    ("20230105", "2023-01-05", None),
    ("44931", "2023-01-05", None),
    ("44931.0", "2023-01-05", None),
    ("2024-02-29", "2024-02-29", None),
    ("25/12/2023", "2023-12-25", None),
    ("5.5.2023", "2023-05-05", None),
    ("2023-01-05 00:00:00", "2023-01-05", None),
    ("2023-01-05 23:30", "2023-01-05", "date_time_dropped"),
    ("05/01/2023", None, "date_ambiguous"),
    ("23-1-5", None, "date_ambiguous"),
    ("2023-02-29", None, "date_invalid"),
    ("2023-13-01", None, "date_invalid"),
    ("2023/1-5", None, "date_invalid"),
    ("0000-00-00", None, "date_invalid"),
    ("1023-01-05", None, "date_invalid"),
    ("202301", None, "date_invalid"),
    ("19999", None, "date_invalid"),
    ("去年", None, "date_invalid"),
]
DATETIME = [
    ("2023-01-05 13:00", "2023-01-05T05:00:00Z", None),
    ("2023-01-05T13:00:00Z", "2023-01-05T13:00:00Z", None),
    ("2023-01-05T13:00:00+09:00", "2023-01-05T04:00:00Z", None),
    ("44931.5", "2023-01-05T04:00:00Z", None),
    ("2023-01-05 25:00", None, "datetime_invalid"),
    ("1991-09-15 01:30", None, "datetime_ambiguous"),  # the clock went back in China
    ("05/01/2023 10:00", None, "datetime_ambiguous"),
]
INTEGER = [
    ("1200", "1200", None),
    ("1,200", "1200", None),
    ("１２００人", "1200", None),
    ("12.0", "12", None),
    ("007", "7", None),
    ("-0", "0", None),
    ("(1,200)", "-1200", None),
    ("1.2E+03", "1200", "number_scientific"),
    ("12.5", None, "number_fraction"),
    ("120万", None, "number_unit"),
    ("约200", None, "number_invalid"),
    ("50-100", None, "number_invalid"),
    ("1,20", None, "number_invalid"),
]
DECIMAL = [
    ("1,234.50", "1234.5", None),
    ("￥1,200.00元", "1200", None),
    ("1.200", "1.2", None),
    ("0.0", "0", None),
    ("-0.00", "0", None),
    ("-5.10", "-5.1", None),
    ("123456789012345678.123", "123456789012345678.123", None),
    ("1e3", "1000", "number_scientific"),
    ("1.5亿", None, "number_unit"),
    ("$12", None, "number_invalid"),
    ("12%", None, "number_invalid"),
    ("1.234,56", None, "number_invalid"),
]
BOOLEAN = [
    ("是", "true", None),
    ("√", "true", None),
    ("Ｙ", "true", None),
    ("TRUE", "true", None),
    ("否", "false", None),
    ("0", "false", None),
    ("×", "false", None),
    ("也许", None, "boolean_invalid"),
]
CASES = [
    (name, *case)
    for name, cases in (
        ("text", TEXT),
        ("company_name", COMPANY_NAME),
        ("company_match_key", MATCH_KEY),
        ("phone", PHONE),
        ("email", EMAIL),
        ("uscc", USCC),
        ("date", DATE),
        ("datetime", DATETIME),
        ("integer", INTEGER),
        ("decimal", DECIMAL),
        ("boolean", BOOLEAN),
    )
    for case in cases
]


def run(name: str, cells: list[str | None], **args: object) -> list[tuple[str | None, str | None]]:
    steps = compile_steps([TransformStep(name=name, args=args)])
    done = transform_series(pd.Series(cells, dtype="str"), steps, CONTEXT)
    return [
        (None if pd.isna(value) else value, None if pd.isna(code) else code)
        for value, code in zip(done.canonical, done.codes, strict=True)
    ]


@pytest.mark.parametrize(("name", "cell", "value", "code"), CASES)
def test_real_life_cells(name, cell, value, code):
    assert run(name, [cell]) == [(value, code)]


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_a_whole_column_gives_what_its_cells_give_alone(name):
    cells = [case for case in CASES if case[0] == name] * 2
    assert run(name, [cell for _, cell, _, _ in cells]) == [(value, code) for _, _, value, code in cells]


def test_a_column_of_few_values_takes_the_short_way_to_the_same_answer():
    cells = ["华东区", "EAST", "火星", None, "-"] * 500
    expected = [("华东", None), ("华东", None), (None, "value_unmapped"), (None, None), (None, None)] * 500
    assert run("value_map", cells, file="region.csv") == expected


def test_every_code_of_these_cases_is_documented():
    assert {code for *_, code in CASES if code} <= set(REASONS)


def test_problems_and_remarks_are_told_apart():
    done = normalise(pd.Series(["13800138000/13900139000", "x", "13800138000"]), FieldType.PHONE)
    assert list(done.problems.fillna("")) == ["", "phone_invalid", ""]
    assert list(done.remarks.fillna("")) == ["phone_several", "", ""]


def test_index_and_name_of_the_column_stay_and_the_input_is_not_changed():
    cells = pd.Series([" a ", None], index=[7, 3], name="x", dtype="string[pyarrow]")
    done = normalise(cells, FieldType.TEXT)
    assert list(done.canonical.index) == [7, 3]
    assert done.canonical.name == "x"
    assert cells[7] == " a "
    assert done.canonical.dtype == pd.ArrowDtype(pa.string())


def test_declared_date_formats_replace_the_safe_set():
    assert run("date", ["05/01/2023", "2023/1/5", "2023-01-05"], formats=["%d/%m/%Y"]) == [
        ("2023-01-05", None),
        (None, "date_invalid"),
        ("2023-01-05", None),
    ]


def test_a_declared_unit_converts_cells_that_name_theirs():
    assert run("decimal", ["120万", "1.5亿", "33", "12345元"], unit="万") == [
        ("120", None),
        ("15000", None),
        ("33", None),
        ("12345", None),
    ]


def test_an_area_code_completes_local_numbers():
    assert run("phone", ["6234 5678"], area_code="021") == [("+862162345678", None)]


def test_local_numbers_of_other_regions():
    assert run("phone", ["226-2649"], region="US") == [(None, "phone_no_area_code")]
    assert run("phone", ["226-2649"], region="US", area_code="773") == [("+17732262649", None)]


def test_region_of_a_mapping_rule_wins():
    assert run("phone", ["(212) 555-0123"], region="US") == [("+12125550123", None)]


def test_line_breaks_stay_where_they_are_asked_for():
    assert run("text", ["a \n\n b"], multiline=True) == [("a\nb", None)]


def test_owner_and_value_map():
    assert run("owner", [" 张伟 ", "zhang.wei", "新人"]) == [
        ("zhang.wei", None),
        ("zhang.wei", None),
        (None, "owner_unknown"),
    ]
    assert run("value_map", ["x", "y"], table={"X": "1"}, unmapped="keep") == [("1", None), ("y", None)]


def test_an_unknown_owner_may_go_to_the_default_user():
    context = TransformContext(owner_map={"张伟": "zhang.wei"}, owner_default="li.na")
    done = transform_series(pd.Series(["新人"]), compile_steps([TransformStep(name="owner")]), context)
    assert (done.canonical[0], done.codes[0]) == ("li.na", "owner_defaulted")


def test_unknown_names_and_arguments_say_what_is_right():
    with pytest.raises(ConfigError, match=r"no transform is called 'phnoe'.*did you mean 'phone'"):
        compile_steps([TransformStep(name="phnoe")])
    with pytest.raises(ConfigError, match=r"regio.*it takes: region, area_code"):
        compile_steps([TransformStep(name="phone", args={"regio": "CN"})])
    with pytest.raises(ConfigError, match="not a date format"):
        compile_steps([TransformStep(name="date", args={"formats": ["%Q"]})])
    with pytest.raises(ConfigError, match="either a file or a table"):
        compile_steps([TransformStep(name="value_map")])


def test_the_type_s_own_normaliser_comes_last_once():
    names = [step.transform.name for step in compile_steps([TransformStep(name="upper")], FieldType.USCC)]
    assert names == ["upper", "uscc"]
    assert [step.transform.name for step in compile_steps([TransformStep(name="uscc")], FieldType.USCC)] == ["uscc"]
    assert set(DEFAULT_TRANSFORM) == set(FieldType)
    assert set(DEFAULT_TRANSFORM.values()) <= set(TRANSFORMS)


def test_value_map_files_are_found():
    steps = [TransformStep(name="text"), TransformStep(name="value_map", args={"value": "a.csv"})]
    assert value_map_files(steps) == ("a.csv",)


def test_an_empty_column_and_one_of_nulls():
    needed = {"value_map": {"table": {"a": "b"}}, "code_map": {"file": "codes.csv", "company": "甲公司"}}
    for name in TRANSFORMS:
        args = needed.get(name, {})
        assert run(name, [], **args) == []
        assert run(name, [None, ""], **args) == [(None, None)] * 2


def test_no_digit_of_a_number_is_rounded_away():
    long = "123456789012345678901234567890123.4567"
    assert run("decimal", [f"-{long}", f"({long})", long]) == [(f"-{long}", None), (f"-{long}", None), (long, None)]
    assert run("decimal", ["1234567890123456789012345678901.23456万"], unit="1") == [
        ("12345678901234567890123456789012345.6", None)
    ]


def test_a_fraction_may_lack_its_zero():
    assert run("decimal", [".5", "-.50", "."]) == [("0.5", None), ("-0.5", None), (None, "number_invalid")]
