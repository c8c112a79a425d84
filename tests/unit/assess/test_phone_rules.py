"""Which phone numbers the assessment calls valid, by region."""

from __future__ import annotations

import duckdb
import pytest

from rollout.assess.rules import validity
from rollout.model.entity import FieldSpec, FieldType


@pytest.mark.parametrize(
    ("region", "number", "valid"),
    [
        ("US", "2262649", False),  # no area code: nobody outside the town can dial it
        ("US", "(312) 226-2649", True),
        ("US", "1-312-226-2649", True),
        ("US", "+86 138 1234 5678", True),
        ("US", "31222626491234", False),
        ("CN", "13812345678", True),
        ("CN", "2262649", False),
        ("DE", "030 1234567", True),
    ],
)
def test_a_number_must_be_dialable_with_its_area_code(region, number, valid):
    check = validity(FieldSpec(type=FieldType.PHONE), phone_region=region)
    assert check is not None
    with duckdb.connect() as connection:
        [(found,)] = connection.execute(f"SELECT {check('n')} FROM (SELECT $1 AS n)", [number]).fetchall()
    assert found is valid
