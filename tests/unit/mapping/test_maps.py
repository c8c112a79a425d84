"""Tables that people keep: the owner map with its pool, codes of group companies, classes of GB/T 4754, date formats."""

from __future__ import annotations

import pandas as pd
import pytest

from rollout.errors import ConfigError
from rollout.mapping.gbt4754 import MANUFACTURING, SECTIONS, industry_one
from rollout.mapping.spec import TransformStep
from rollout.mapping.transforms import code_map_files, compile_steps, transform_series
from rollout.mapping.transforms_base import TransformContext
from rollout.phases.maps import read_code_map

PLAIN = TransformContext()
CODES = {"codes.csv": {"甲公司": {"k01": "C001", "k02": "C001"}, "乙公司": {"k01": "C009"}}}


def run(name, cells, context=PLAIN, **args):
    done = transform_series(pd.Series(cells), compile_steps([TransformStep(name=name, args=args)]), context)
    return [
        (None if pd.isna(value) else value, None if pd.isna(code) else code)
        for value, code in zip(done.canonical, done.codes, strict=True)
    ]


@pytest.mark.parametrize(("pool_user", "answer"), [(None, (None, "owner_pool")), ("pool", ("pool", None))])
def test_who_left_without_successor_goes_to_the_pool(pool_user, answer):
    context = TransformContext(owner_map={"老孙": "公海", "张伟": "zhang.wei"}, owner_pool_user=pool_user)
    assert run("owner", ["老孙", "公海", "张伟", "新人"], context) == [
        answer,
        answer,
        ("zhang.wei", None),
        (None, "owner_unknown"),
    ]


def test_the_pool_s_user_stays_who_it_is():
    assert run("owner", ["pool"], TransformContext(owner_pool_user="pool")) == [("pool", None)]


def test_several_codes_of_one_company_are_one_customer_and_another_company_s_code_is_another():
    context = TransformContext(code_maps=CODES)
    args = {"file": "codes.csv", "company": "甲公司"}
    assert run("code_map", ["K01", " k02 ", "C001", "K99"], context, **args) == [
        ("C001", None),
        ("C001", None),
        ("C001", None),
        (None, "code_unmapped"),
    ]
    assert run("code_map", ["K01"], context, file="codes.csv", company="乙公司") == [("C009", None)]
    with pytest.raises(ConfigError, match="no line of company '丙公司'"):
        run("code_map", ["K01"], context, file="codes.csv", company="丙公司")
    assert code_map_files([TransformStep(name="code_map", args=args)]) == ("codes.csv",)


def test_a_code_that_the_company_does_not_have_is_no_customer_of_that_name():
    """Customers may be called by the leading company's codes; a gap in another's is a gap."""
    maps = {"codes.csv": {"总部": {"1001": "1001", "1005": "1005"}, "子公司": {"77": "1001", "78": "1005"}}}
    context = TransformContext(code_maps=maps)
    assert run("code_map", ["77", "1005"], context, file="codes.csv", company="子公司") == [
        ("1001", None),
        (None, "code_unmapped"),
    ]
    assert run("code_map", ["1005"], context, file="codes.csv", company="总部") == [("1005", None)]


def test_a_code_map_gives_a_code_to_one_customer(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("company,code,customer\n甲公司,K01,C001\n甲公司,K02,C001\n乙公司,K01,C009\n", encoding="utf-8-sig")
    assert read_code_map(path, shown="codes.csv") == CODES["codes.csv"]
    path.write_text("company,code,customer\n甲公司,K01,C001\n甲公司,k01,C002\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"codes.csv:3: code 'k01' of 甲公司 is 'C001' and 'C002'"):
        read_code_map(path, shown="codes.csv")
    path.write_text("company,code,customer\n甲公司,K01,\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"codes.csv:2: a line needs all columns"):
        read_code_map(path, shown="codes.csv")


@pytest.mark.parametrize(
    ("cell", "level", "answer"),
    [
        ("C35", "any", ("C35", None)),
        ("35", "any", ("C35", None)),
        ("c 3511", "any", ("C3511", None)),
        ("3511", "division", ("C35", None)),
        ("专用设备制造业", "any", ("C35", None)),
        ("制造业", "section", ("C", None)),
        ("65", "section", ("I", None)),
        ("C", "division", (None, "industry_too_coarse")),
        ("98", "any", (None, "industry_invalid")),
        ("A35", "any", (None, "industry_invalid")),
        ("U01", "any", (None, "industry_invalid")),
        ("机械", "any", (None, "industry_invalid")),
    ],
)
def test_classes_of_gbt4754(cell, level, answer):
    assert industry_one(cell, level) == answer


def test_every_division_is_in_one_section():
    covered = [division for _, first, last in SECTIONS.values() for division in range(first, last + 1)]
    assert covered == list(range(1, 98))
    assert sorted(MANUFACTURING) == list(range(13, 44))


def test_a_confirmed_format_decides_what_is_ambiguous_beside_what_is_plain():
    cells = ["03/04/2024", "2024-05-06", "2024年5月7日", "25/12/2024", "12/25/2024", "3/4/2024 8:30"]
    assert run("date", cells, format="%d/%m/%Y") == [
        ("2024-04-03", None),
        ("2024-05-06", None),
        ("2024-05-07", None),
        ("2024-12-25", None),
        (None, "date_invalid"),
        ("2024-04-03", "date_time_dropped"),
    ]
    assert run("date", cells[:1], value="%m/%d/%Y") == [("2024-03-04", None)]
    assert run("date", cells[:1], format="mixed") == [(None, "date_ambiguous")]
    assert run("datetime", ["03/04/2024 08:00"], format="%d/%m/%Y") == [("2024-04-03T00:00:00Z", None)]
    assert run("date", ["24/3/5"], format="%y/%m/%d") == [("2024-03-05", None)]


@pytest.mark.parametrize("pattern", ["%d/%m", "%Y-%d-%m", "DD/MM/YYYY", "%Q"])
def test_what_is_no_date_format_is_refused(pattern):
    with pytest.raises(ConfigError, match="refuses its arguments"):
        compile_steps([TransformStep(name="date", args={"format": pattern})])
