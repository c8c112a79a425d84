"""How laws are declared, and when one does not apply."""

from __future__ import annotations

from collections.abc import Callable

from rollout.connectors.testing.harness import Harness, Law

_laws: list[Law] = []


def always(_harness: Harness) -> None:
    """Every target obeys it."""


def law(needs: Callable[[Harness], str | None] = always) -> Callable[[Callable[[Harness], None]], Law]:
    """Make a function a law; ``needs`` says why it does not apply to a harness."""

    def register(check: Callable[[Harness], None]) -> Law:
        _laws.append(Law(check, needs))
        return _laws[-1]

    return register


def unique(harness: Harness) -> str | None:
    """The target enforces unique keys."""
    return None if harness.target.capabilities.enforces_unique else "the target does not enforce unique keys"


def returns_stored(harness: Harness) -> str | None:
    """The target answers with what it stored."""
    return None if harness.target.capabilities.returns_stored else "the target does not answer with what it stored"


def conditional(harness: Harness) -> str | None:
    """The target has versions, and somebody can change them."""
    if not harness.target.capabilities.conditional_update:
        return "the target has no conditional update"
    return edits(harness)


def edits(harness: Harness) -> str | None:
    """Somebody can edit as a person would."""
    return None if harness.edit else "the harness cannot edit as a person"


def concurrent(harness: Harness) -> str | None:
    """Unique keys, and several calls at once."""
    return unique(harness) or (None if harness.target.capabilities.concurrency > 1 else "one call at a time")


def deletes(harness: Harness) -> str | None:
    """Records can be deleted and released."""
    return None if harness.target.capabilities.can_delete else "the target deletes nothing"


def incapable(harness: Harness) -> str | None:
    """Something can be declared impossible."""
    return None if harness.incapable else "the harness has no `incapable` connector"


def needs(attribute: str) -> Callable[[Harness], str | None]:
    """The harness provides this."""

    def reason(harness: Harness) -> str | None:
        return None if getattr(harness, attribute) is not None else f"the harness has no `{attribute}`"

    return reason


def declared() -> tuple[Law, ...]:
    """All laws declared so far, in order."""
    return tuple(_laws)
