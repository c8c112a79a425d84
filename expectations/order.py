"""What is special for orders, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe


def expectations() -> list[gxe.Expectation]:
    """Expectations about the orders that the target holds."""
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)  # east of Greenwich it already is
    return [
        # Two group companies may count their orders alike; within one a number is one order.
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["company", "order_no"], ignore_row_if="any_value_is_missing", severity="warning"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="ordered_on.date",
            min_value=datetime.fromisoformat("1980-01-01"),
            max_value=tomorrow,
            severity="warning",
        ),
        gxe.ExpectColumnValuesToBeBetween(column="amount.number", min_value=0, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="quantity.number", min_value=0, severity="warning"),
    ]
