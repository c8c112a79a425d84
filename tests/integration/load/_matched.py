"""Customers and contacts that are found again by keys, for tests of records that the target has already."""

from __future__ import annotations

from typing import Any

from tests.integration.load._projects import with_rules

ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+862161234{n:03}", "note": "ours"} for n in range(6)}
CONTACTS = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n}"} for n in range(6)}


def matched_by(bench: Any, *fields: str) -> Any:
    """A bench whose customers are the same where one of these fields is, and whose contacts are by customer and name."""
    with_rules(
        bench,
        account={"keys": [{"name": field, "fields": [field]} for field in fields]},
        contact={"keys": [{"name": "person", "fields": ["account", "name"]}]},
    )
    return bench
