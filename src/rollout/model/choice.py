"""What a named person may decide about a row that a load could not finish."""

from __future__ import annotations

from enum import StrEnum


class Choice(StrEnum):
    """The actions of the queue of rejects."""

    RETRY = "retry"
    """Send the row again, with the values repaired if there are any."""
    SKIP = "skip"
    """Do without the row: it is not loaded, by this plan or a later one, until somebody says retry."""
    KEEP_CRM = "keep_crm"
    """The value that the CRM holds stays, although ours is another one."""
    USE_LEGACY = "use_legacy"
    """Our value is written over what people typed; a record that they deleted is made again."""
    EXISTS_AS = "exists_as"
    """The record is in the target already, under the id named: it becomes ours."""
    LANDED = "landed"
    """Of rows whose outcome is unknown: the call did arrive; the record has the id named."""
    RESEND = "resend"
    """Of rows whose outcome is unknown: the call did not arrive; send it again."""
    ABANDON = "abandon"
    """Of rows whose outcome is unknown: whatever became of it, the row is not sent again."""


BY_FIELD = (Choice.KEEP_CRM, Choice.USE_LEGACY)
"""Choices that are made for each field of a row by itself."""
WITH_ID = (Choice.EXISTS_AS, Choice.LANDED)
"""Choices that name a record of the target."""
GIVING_UP = (Choice.SKIP, Choice.ABANDON)
"""Choices that hold for later plans too."""
AS_BEFORE = (Choice.RETRY, Choice.RESEND)
"""Choices that send a row as it was to be sent: to the record that it was said to be."""
OF_UNKNOWN = (Choice.LANDED, Choice.RESEND, Choice.ABANDON)
"""What there is to decide about a row whose outcome is unknown."""

_CONTESTED = (Choice.KEEP_CRM, Choice.USE_LEGACY, Choice.RETRY, Choice.SKIP)
_BY_REASON = {
    "outcome_unknown": OF_UNKNOWN,
    "changed_on_both_sides": _CONTESTED,
    "changed_since_plan": _CONTESTED,
    "neither_old_nor_new": _CONTESTED,
    "record_gone": (Choice.USE_LEGACY, Choice.SKIP),
    "adoption_ambiguous": (Choice.EXISTS_AS, Choice.USE_LEGACY, Choice.SKIP),
    "cluster_joined": (Choice.SKIP,),
    "cluster_split": (Choice.SKIP,),
    "duplicate_in_target": (Choice.RETRY, Choice.SKIP),
}


def choices(state: str, reason_code: str | None, *, is_update: bool) -> tuple[Choice, ...]:
    """What may be decided about a row, the usual choice first.

    Args:
        state: `rejected`, `conflict`, `waiting`, `unknown`, `intent` or `skipped`.
        reason_code: Why it is in that state.
        is_update: The row is one that the target holds already, under our key.
    """
    if state in ("unknown", "intent"):
        return OF_UNKNOWN
    if state == "conflict":
        return _BY_REASON.get(reason_code or "", (Choice.RETRY, Choice.EXISTS_AS, Choice.SKIP))
    if state == "rejected":
        return (Choice.RETRY, Choice.SKIP, Choice.KEEP_CRM if is_update else Choice.EXISTS_AS)
    return (Choice.RETRY,) if state == "skipped" else (Choice.RETRY, Choice.SKIP)
