"""What a three-way plan compares with: for each field, what we sent last and what the target stored for it. Pure.

Values are kept as keyed fingerprints: they tell whether something changed, and nothing else, so the base may outlive
the destruction of personal data. A field's entry is ``sent``, or ``sent|stored`` where the target stored something
else (it trimmed, truncated or filled in a default), or ``sent||stored`` where what is stored is people's, and was to
stay although ours differs: nothing is left to do about it until either side changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rollout.model.entity import Values

Fingerprint = Callable[[str, str | None], str]
"""Of a field's value: (field, value) → text without "|"."""
Base = Mapping[str, str]
"""Entries by field."""
Ownership = Mapping[str, Literal["shared", "source", "crm"]]
"""Who a field belongs to while both systems live; fields that are not named are shared."""


_THEIRS = "||"


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """What becomes of each field in which sources and target could differ."""

    changing: dict[str, str | None] = field(default_factory=dict)
    """To be set: only the source changed, or we never wrote the field."""
    kept: list[str] = field(default_factory=list)
    """Only people changed it, or it is theirs to change: theirs stays."""
    clashing: list[str] = field(default_factory=list)
    """Both changed it, to different values."""
    agreed: dict[str, str] = field(default_factory=dict)
    """Nothing is to be done, and the base does not know it yet: its new entries."""
    overwrites: list[str] = field(default_factory=list)
    """Of those to be set: what people typed there gives way, and the plan says so."""


def left_to_people(name: str, ours: str | None, theirs: str | None, fingerprint: Fingerprint) -> str:
    """The entry of a field in which people's value stays although ours is another one."""
    return f"{fingerprint(name, ours)}{_THEIRS}{fingerprint(name, theirs)}"


def is_left_to_people(entry: str) -> bool:
    """Whether people's value stays in a field although ours is another one."""
    return _THEIRS in entry


def stored_mark(entry: str) -> str:
    """The fingerprint of what the target held when the entry was made."""
    return entry.rpartition("|")[2]


def learned(sent: Values, stored: Values, fingerprint: Fingerprint) -> dict[str, str]:
    """Base entries after a write: for each field sent, what was stored for it."""
    return {
        name: fingerprint(name, value)
        if (held := stored.get(name)) == value
        else f"{fingerprint(name, value)}|{fingerprint(name, held)}"
        for name, value in sent.items()
    }


def three_way(
    ours: Values, theirs: Values, base: Base | None, fingerprint: Fingerprint, ownership: Ownership | None = None
) -> ThreeWay:
    """Compare sources (ours), target (theirs) and base, field by field.

    A field whose stored value is still what the target made of our unchanged value is left alone: sending it again
    would change nothing. So is one that belongs to the CRM. In one that belongs to the source, ours is written.
    """
    result = ThreeWay()
    for name, value in ours.items():
        held = theirs.get(name)
        owner = ownership.get(name) if ownership else None
        if owner == "crm":
            if held != value:
                result.kept.append(name)
            continue
        entry = base.get(name) if base is not None else None
        if entry is None:
            if held == value:
                result.agreed[name] = fingerprint(name, value)
            else:
                _never_written(result, name, value, held, fingerprint, owns=owner == "source" or base is None)
            continue
        mark = fingerprint(name, value)
        source_changed = mark != entry.partition("|")[0]
        people_changed = fingerprint(name, held) != stored_mark(entry)
        if held == value:
            if source_changed or people_changed:
                result.agreed[name] = mark
        elif people_changed or _THEIRS in entry:
            _theirs_differs(result, name, value, owner, source_changed=source_changed, people_changed=people_changed)
        elif source_changed:
            result.changing[name] = value
    result.kept.sort()
    result.clashing.sort()
    result.overwrites.sort()
    return result


def _theirs_differs(
    result: ThreeWay, name: str, value: str | None, owner: str | None, *, source_changed: bool, people_changed: bool
) -> None:
    """A field that holds what people typed, now or before it was left to them."""
    if owner == "source":
        result.changing[name] = value
        result.overwrites.append(name)
    elif source_changed:
        result.clashing.append(name)
    elif people_changed:
        result.kept.append(name)


def _never_written(
    result: ThreeWay, name: str, value: str | None, held: str | None, fingerprint: Fingerprint, *, owns: bool
) -> None:
    """A field that we never wrote, or of a record that the journal does not know: what stands there is people's."""
    if held is None or owns:
        result.changing[name] = value
        if held is not None:
            result.overwrites.append(name)
    elif value is None:
        result.agreed[name] = left_to_people(name, value, held, fingerprint)
    else:
        result.clashing.append(name)
