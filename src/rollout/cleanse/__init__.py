"""Normalise, check rules, quarantine what cannot be repaired. Pure over frames."""
