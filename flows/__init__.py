"""Prefect flows: one phase a file, each a thin window on one library function."""
