"""Prove what the target holds."""
