"""What is special for tickets, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"


def expectations() -> list[gxe.Expectation]:
    """Expectations about the tickets that the target holds."""
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)  # east of Greenwich it already is
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="subject", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToNotMatchRegex(column="description", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToBeUnique(column="ticket_no", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(
            column="opened_on.date",
            min_value=datetime.fromisoformat("1980-01-01"),
            max_value=tomorrow,
            severity="warning",
        ),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="closed_on.date",
            column_B="opened_on.date",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            severity="warning",
        ),
    ]
