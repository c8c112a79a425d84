"""What is special for contracts, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"


def expectations() -> list[gxe.Expectation]:
    """Expectations about the contracts that the target holds."""
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)  # east of Greenwich it already is
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToBeUnique(column="contract_no", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="amount.number", min_value=0, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(
            column="signed_on.date",
            min_value=datetime.fromisoformat("1980-01-01"),
            max_value=tomorrow,
            severity="warning",
        ),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="ends_on.date",
            column_B="starts_on.date",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            severity="warning",
        ),
    ]
