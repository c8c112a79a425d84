"""What is special for follow-ups, beyond what follows from their fields. See `account.py` for the conventions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import great_expectations.expectations as gxe

BROKEN_ENCODING = "\ufffd|锟斤拷|烫烫烫|Ã.|[?]{3,}"


def expectations() -> list[gxe.Expectation]:
    """Expectations about the follow-ups that the target holds."""
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)  # east of Greenwich it already is
    return [
        gxe.ExpectColumnValuesToNotMatchRegex(column="content", regex=BROKEN_ENCODING),
        gxe.ExpectColumnValuesToBeUnique(column="followup_no", severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(
            column="happened_on.date",
            min_value=datetime.fromisoformat("1980-01-01"),
            max_value=tomorrow,
            severity="warning",
        ),
    ]
