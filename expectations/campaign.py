"""What is special for campaigns, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

import great_expectations.expectations as gxe

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"


def expectations() -> list[gxe.Expectation]:
    """Expectations about the campaigns that the target holds."""
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToBeUnique(column="campaign_no", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="cost.number", min_value=0, severity="warning"),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="ends_on.date",
            column_B="starts_on.date",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            severity="warning",
        ),
    ]
