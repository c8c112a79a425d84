"""What is special for accounts, beyond what follows from their fields.

Ranges are checked on `{field}.number` and `{field}.date`, which stand beside each number and date. `critical` (the
default) counts for the gate; `warning` is shown.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"
"""What is left of Chinese text that was read in the wrong encoding."""


def expectations() -> list[gxe.Expectation]:
    """Expectations about the accounts that the target holds."""
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)  # east of Greenwich it already is
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToNotMatchRegex(column="address", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValueLengthsToBeBetween(column="name", min_value=2, severity="warning"),
        gxe.ExpectColumnValuesToNotMatchRegex(column="name", regex="^(测试|test|Test|TEST)", severity="warning"),
        gxe.ExpectColumnValuesToBeUnique(column="uscc", severity="warning"),
        gxe.ExpectColumnValuesToBeUnique(column="legacy_no", severity="warning"),
        gxe.ExpectColumnValuesToBeUnique(column="customer_no", severity="warning"),
        gxe.ExpectColumnValuesToBeUnique(column="erp_code", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(
            column="established_on.date",
            min_value=datetime.fromisoformat("1800-01-01"),
            max_value=tomorrow,
            severity="warning",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="employees.number", min_value=0, max_value=5_000_000, severity="warning"
        ),
        gxe.ExpectColumnValuesToBeBetween(column="annual_revenue.number", min_value=0, severity="warning"),
    ]
