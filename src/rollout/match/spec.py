"""How records of one entity are recognised as the same, as declared. First depth: exact keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from rollout.model.base import Frozen


class Survivorship(StrEnum):
    """Which record of a cluster becomes the golden one."""

    MOST_COMPLETE = "most_complete"
    """The most fields with a value; ties: source priority, then the smallest source key."""
    FIRST = "first"
    """Source priority, then the smallest source key."""


class MatchKey(Frozen):
    """Records that agree on all these fields (each with a value) are the same. Fields hold normalised values.

    ``by`` compares a field by what a transform makes of it, so that spellings may differ:
    ``{name: 名称和电话, fields: [name, phone], by: {name: company_match_key}}``. Fillers such as 00000000 never match.
    """

    name: str = Field(description="Shown as the rule of a merge.")
    fields: tuple[str, ...] = Field(min_length=1)
    by: dict[str, str] = Field(default_factory=dict, description="Field → transform it is compared by.")

    @model_validator(mode="after")
    def _by_its_fields(self) -> Self:
        stray = sorted(set(self.by) - set(self.fields))
        if stray:
            raise ValueError(f"`by` names what is not in `fields`: {', '.join(stray)}")
        return self


class MatchSpec(Frozen):
    """Matching of one entity."""

    keys: tuple[MatchKey, ...] = ()
    survivorship: Survivorship = Survivorship.MOST_COMPLETE
    fill_gaps: bool = Field(
        default=True,
        description="Fields the golden record lacks are taken from the rows merged into it, best row first.",
    )
    apart: tuple[str, ...] = Field(
        default=(),
        description="Source keys (`source:row key`) of rows that are never merged with others, whatever they agree on. "
        "`rollout unmerge` keeps a list of its own, which counts as well.",
    )
    max_cluster_rows: int = Field(
        default=50, ge=2, description="A larger cluster is not merged but reported: its key is not a key."
    )
