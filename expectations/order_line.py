"""What is special for order lines, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

import great_expectations.expectations as gxe


def expectations() -> list[gxe.Expectation]:
    """Expectations about the order lines that the target holds."""
    return [
        gxe.ExpectColumnValuesToBeUnique(column="line_no", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="quantity.number", min_value=0, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="price.number", min_value=0, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="amount.number", min_value=0, severity="warning"),
    ]
