"""What is special for opportunities, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

import great_expectations.expectations as gxe

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"


def expectations() -> list[gxe.Expectation]:
    """Expectations about the opportunities that the target holds."""
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToBeUnique(column="opportunity_no", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="amount.number", min_value=0, severity="warning"),
    ]
