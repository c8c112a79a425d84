"""How records of one entity are recognised as the same, as declared. First depth: exact keys."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from rollout.model.base import Frozen


class Survivorship(StrEnum):
    """Which record of a cluster becomes the golden one."""

    MOST_COMPLETE = "most_complete"
    """The most fields with a value; ties: source priority, then the smallest source key."""
    FIRST = "first"
    """Source priority, then the smallest source key."""


class MatchKey(Frozen):
    """Records that agree on all these fields (each with a value) are the same. Fields hold normalised values."""

    name: str = Field(description="Shown as the rule of a merge.")
    fields: tuple[str, ...] = Field(min_length=1)


class MatchSpec(Frozen):
    """Matching of one entity."""

    keys: tuple[MatchKey, ...] = ()
    survivorship: Survivorship = Survivorship.MOST_COMPLETE
    max_cluster_rows: int = Field(
        default=50, ge=2, description="A larger cluster is not merged but reported: its key is not a key."
    )
