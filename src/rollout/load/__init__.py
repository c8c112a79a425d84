"""Plan, apply, account."""
