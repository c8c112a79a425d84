"""What a three-way plan compares with: for each field, what we sent last and what the target stored for it. Pure.

Values are kept as keyed fingerprints: they tell whether something changed, and nothing else, so the base may outlive
the destruction of personal data. A field's entry is ``sent``, or ``sent|stored`` where the target stored something
else (it trimmed, truncated or filled in a default).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rollout.model.entity import Values

Fingerprint = Callable[[str, str | None], str]
"""Of a field's value: (field, value) → text without "|"."""
Base = Mapping[str, str]
"""Entries by field."""


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """What becomes of each field in which sources and target could differ."""

    changing: dict[str, str | None] = field(default_factory=dict)
    """To be set: only the source changed, or we never wrote the field."""
    kept: list[str] = field(default_factory=list)
    """Only people changed it: theirs stays."""
    clashing: list[str] = field(default_factory=list)
    """Both changed it, to different values."""
    agreed: dict[str, str] = field(default_factory=dict)
    """Both sides hold the same value, which the base does not know yet: its new entries."""


def learned(sent: Values, stored: Values, fingerprint: Fingerprint) -> dict[str, str]:
    """Base entries after a write: for each field sent, what was stored for it."""
    return {
        name: fingerprint(name, value)
        if (held := stored.get(name)) == value
        else f"{fingerprint(name, value)}|{fingerprint(name, held)}"
        for name, value in sent.items()
    }


def three_way(ours: Values, theirs: Values, base: Base | None, fingerprint: Fingerprint) -> ThreeWay:
    """Compare sources (ours), target (theirs) and base, field by field.

    A field whose stored value is still what the target made of our unchanged value is left alone: sending it again
    would change nothing.
    """
    result = ThreeWay()
    for name, value in ours.items():
        held = theirs.get(name)
        entry = base.get(name) if base is not None else None
        if entry is None:
            if held == value:
                result.agreed[name] = fingerprint(name, value)
            else:
                result.changing[name] = value
            continue
        sent, _, stored = entry.partition("|")
        mark = fingerprint(name, value)
        source_changed = mark != sent
        people_changed = fingerprint(name, held) != (stored if "|" in entry else sent)
        if held == value:
            if source_changed or people_changed:
                result.agreed[name] = mark
        elif source_changed and people_changed:
            result.clashing.append(name)
        elif source_changed:
            result.changing[name] = value
        elif people_changed:
            result.kept.append(name)
    result.kept.sort()
    result.clashing.sort()
    return result
