"""What is special for contacts, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe
from great_expectations.expectations.row_conditions import Column

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"
"""What is left of Chinese text that was read in the wrong encoding."""


def expectations() -> list[gxe.Expectation]:
    """Expectations about the contacts that the target holds."""
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)  # east of Greenwich it already is
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex="[0-9]", severity="warning"),
        # A Chinese land line in the mobile field will not receive a message; foreign numbers are not told apart.
        gxe.ExpectColumnValuesToMatchRegex(
            column="mobile", regex=r"^\+(861[3-9][0-9]{9}|[1-79][0-9]+|8[0-57-9][0-9]+)$", severity="warning"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="birthday.date",
            min_value=datetime.fromisoformat("1900-01-01"),
            max_value=tomorrow,
            severity="warning",
        ),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["account", "is_primary"], row_condition=Column("is_primary") == "true", severity="warning"
        ),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["account", "name", "mobile"], ignore_row_if="any_value_is_missing", severity="warning"
        ),
    ]
