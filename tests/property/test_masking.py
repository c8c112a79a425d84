"""Masking hides what it must, keeps what helps, and may be applied twice."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.model import masking
from rollout.model.entity import FieldSpec, FieldType

FUNCTIONS = [
    masking.mask_phone,
    masking.mask_email,
    masking.mask_name,
    masking.mask_uscc,
    masking.mask_generic,
    masking.mask_date,
    masking.mask_text,
]
PHONES = st.one_of(
    st.from_regex(r"1[3-9]\d{9}", fullmatch=True),
    st.from_regex(r"\+86 ?1[3-9]\d \d{4} \d{4}", fullmatch=True),
    st.from_regex(r"\(?0\d{2,3}\)?-\d{7,8}", fullmatch=True),
)
EMAILS = st.from_regex(r"[a-z][a-z0-9.]{2,12}@[a-z]{2,8}\.(com|cn)", fullmatch=True)
WORDS = st.text(alphabet="客户张三丰的电话是改为已和 ,。:", max_size=12)


@pytest.mark.parametrize("mask", FUNCTIONS, ids=lambda mask: mask.__name__)
@given(value=st.text(max_size=60))
def test_masking_twice_changes_nothing(mask, value: str) -> None:
    assert mask(mask(value)) == mask(value)


@given(before=WORDS, phone=PHONES, after=WORDS)
def test_no_phone_is_left_in_text(before: str, phone: str, after: str) -> None:
    masked = masking.mask_text(before + phone + after)
    assert len(re.sub(r"\D", "", masked)) <= 5
    assert before.strip() in masked


@given(before=WORDS, email=EMAILS, after=WORDS)
def test_no_address_is_left_in_text(before: str, email: str, after: str) -> None:
    assert email.split("@", maxsplit=1)[0] not in masking.mask_text(f"{before} {email} {after}")


@given(code=st.text(alphabet="0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=18, max_size=18))
def test_no_registration_code_is_left_in_text(code: str) -> None:
    masked = masking.mask_text(f"代码{code}。")
    assert code not in masked
    assert "*" in masked


@given(name=st.text(alphabet="张三丰欧阳李娜" + string.ascii_letters, min_size=2, max_size=8))
def test_of_a_name_one_character_stays(name: str) -> None:
    masked = masking.mask_name(name)
    assert masked == name[0] + "*" * (len(name) - 1)


@pytest.mark.parametrize(
    ("mask", "value", "masked"),
    [
        (masking.mask_phone, "13812345678", "138******78"),
        (masking.mask_phone, "021-5555", "***-****"),
        (masking.mask_email, "li.na@example.com", "l***@example.com"),
        (masking.mask_email, "no address", "n***"),
        (masking.mask_name, "张三丰", "张**"),
        (masking.mask_name, "Anna Li", "A*** L*"),
        (masking.mask_uscc, "91310000MA1K35QX4R", "91**************4R"),
        (masking.mask_date, "1987-05-04", "1987-**-**"),
        (masking.mask_text, "拨打 138-1234-5678 或发 li.na@example.com", "拨打 138-****-**78 或发 l***@example.com"),
        (masking.mask_text, "2026-11-21: 1000000 rows in account", "2026-11-21: 1000000 rows in account"),
    ],
)
def test_examples(mask, value: str, masked: str) -> None:
    assert mask(value) == masked


def test_only_personal_fields_are_masked() -> None:
    assert masking.mask_field(FieldSpec(type=FieldType.PHONE), "13812345678") == "13812345678"
    assert masking.mask_field(FieldSpec(type=FieldType.PHONE, personal=True), "13812345678") == "138******78"
    assert masking.mask_field(FieldSpec(type=FieldType.INTEGER, personal=True), "42") == "***"
    assert masking.mask_field(FieldSpec(personal=True), None) is None
