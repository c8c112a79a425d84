"""Laws of all transforms: canonical text stays what it is, nothing vanishes without a reason, oracles agree."""

from __future__ import annotations

import re
import sys

import pandas as pd
import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import uscc as oracle

from rollout.cleanse.reasons import REASONS
from rollout.mapping.transforms import DEFAULT_TRANSFORM, TransformStep, compile_steps, transform_series
from rollout.mapping.transforms_base import matches
from rollout.mapping.transforms_text import TIDY_PATTERN, tidy_one

LIKELY = st.sampled_from("0123456789+-./年月日 ()（）:,;@aABxX有限公司　０１\n\x00")
CELLS = st.lists(st.one_of(st.none(), st.text(max_size=20), st.text(LIKELY, max_size=20)), max_size=12)
NAMES = sorted({*DEFAULT_TRANSFORM.values(), "company_name", "upper"})


def run(name, cells):
    done = transform_series(pd.Series(cells, dtype="str"), compile_steps([TransformStep(name=name)]))
    plain = [None if pd.isna(value) else value for value in done.canonical]
    return plain, [None if pd.isna(code) else code for code in done.codes]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(cells=CELLS)
def test_normalising_canonical_text_changes_nothing(name, cells):
    values, _ = run(name, cells)
    assert "" not in values
    again, codes = run(name, values)
    assert again == values
    assert not [code for code, value in zip(codes, again, strict=True) if value is None and code]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(cells=CELLS)
def test_no_value_vanishes_without_a_documented_code(name, cells):
    values, codes = run(name, cells)
    tidied, _ = run("text", cells)
    for value, code, cell in zip(values, codes, tidied, strict=True):
        assert value is not None or code is not None or cell is None
        assert code is None or code in REASONS


@settings(deadline=None)
@given(
    st.text(oracle._alphabet, min_size=2, max_size=2),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(oracle._alphabet, min_size=10, max_size=10),
)
def test_uscc_agrees_with_stdnum(kind, region, rest):
    code = kind + region + rest
    right = oracle.calc_check_digit(code[:17]) == code[17]
    values, codes = run("uscc", [code, code[:17] + oracle.calc_check_digit(code[:17])])
    assert values == [code if right else None, code[:17] + oracle.calc_check_digit(code[:17])]
    assert codes == [None if right else "uscc_check_digit", None]


@settings(deadline=None)
@given(st.integers(0, 17), st.sampled_from(oracle._alphabet))
def test_one_wrong_character_of_a_uscc_never_passes(place, character):
    code = "91110000600037341L"
    wrong = code[:place] + character + code[place + 1 :]
    values, _ = run("uscc", [wrong])
    assert values == [wrong if wrong == code else None]


@settings(max_examples=150, deadline=None)
@given(st.from_regex(re.compile(r"0(?:10|2[0-57-9]|[3-9][0-9]{2})-?[2-8][0-9]{6,7}"), fullmatch=True))
def test_land_lines_agree_with_phonenumbers(cell):
    number = phonenumbers.parse(cell, "CN")
    valid = phonenumbers.is_valid_number(number)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    values, _ = run("phone", [cell])
    # 11 digits from 13 to 19 after the country code are a mobile number by the numbering plan, whatever the library knows.
    assert values == [e164 if valid or re.fullmatch(r"\+861[3-9]\d{9}", e164) else None]


@settings(deadline=None)
@given(st.dates(min_value=pd.Timestamp("1954-10-03").date(), max_value=pd.Timestamp("2118-01-01").date()))
def test_every_spelling_of_a_day_is_that_day(day):
    serial = (day - pd.Timestamp("1899-12-30").date()).days
    spellings = [
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}年{day.month}月{day.day}日",
        f"{day:%Y%m%d}",
        f"{day:%Y.%m.%d}",
        str(serial),
    ]
    assert run("date", spellings)[0] == [day.isoformat()] * len(spellings)


def test_what_the_fast_way_calls_tidy_the_slow_way_leaves_alone():
    # Every character there is, one by one; between letters, so that spaces are judged as well.
    everything = [f"a{chr(code)}b" for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    tidy = matches(pa.array(everything), TIDY_PATTERN).to_pylist()
    wrong = [text for text, fine in zip(everything, tidy, strict=True) if fine and tidy_one(text)[0] != text]
    assert wrong == []
    assert sum(tidy) > 20_000
