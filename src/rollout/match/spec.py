"""How records of one entity are recognised as the same, as declared: exact keys, then a model that weighs evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

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


class FieldSurvivor(StrEnum):
    """Which value a field of a golden record takes where the rows of its cluster disagree."""

    RECORD = "record"
    """The surviving record's own."""
    NEWEST = "newest"
    """That of the row with the latest `newest_by`."""
    PRIORITY = "priority"
    """That of the source with the best priority."""
    LONGEST = "longest"
    """The one with the most characters: the most complete text."""
    COMMONEST = "commonest"
    """The one that most rows have."""


class Comparison(Frozen):
    """How a field is compared by the model: a kind of the registry in `rollout.match.comparisons`, with arguments."""

    kind: str
    args: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        """`name: company_name`."""
        return {"kind": data} if isinstance(data, str) else data


class MatchModel(Frozen):
    """A probabilistic model (Fellegi and Sunter), trained on the company's own data without labels.

    A pair of rows that some blocking rule brings together is weighed by all comparisons. From ``merge_above`` on it is
    merged, from ``review_above`` on a person decides, below it is left alone. Both are probabilities.
    """

    comparisons: dict[str, Comparison] = Field(min_length=1, description="By field of the entity.")
    blocking: tuple[tuple[str, ...], ...] = Field(
        default=(),
        description="Rows that agree on all parts of one rule are compared. A part is a field, or a part that a "
        "comparison makes of one, such as `name.brand`. Empty: what the comparisons suggest.",
    )
    merge_above: float = Field(default=0.99, gt=0, le=1)
    review_above: float = Field(default=0.90, gt=0, le=1)
    max_block_rows: int = Field(
        default=500, ge=2, description="Rows that share a blocking value; more are not compared by it, with a finding."
    )

    training: int = Field(
        default=1,
        ge=1,
        description="Raise it to train anew, once there are many more rows. The model that was trained first is kept "
        "until then, so that the same rows weigh the same; a changed comparison trains anew as well.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.review_above > self.merge_above:
            raise ValueError("review_above must not exceed merge_above")
        return self


class Guards(Frozen):
    """What is never merged without a person, however alike it looks."""

    across: tuple[str, ...] = Field(
        default=(), description="Fields such as owner or group company: different values wait for a sales director."
    )
    directors: tuple[str, ...] = Field(
        default=(), description="People who may decide those pairs (`rollout people`). Empty: whoever has a code."
    )
    branches: str | None = Field(
        default=None, description="Field with the company's name: a branch (分公司) is never merged into its parent."
    )
    never_alone: tuple[str, ...] = Field(
        default=(), description="Fields whose agreement alone proves nothing, such as a shared phone."
    )


class MatchSpec(Frozen):
    """Matching of one entity."""

    keys: tuple[MatchKey, ...] = ()
    model: MatchModel | None = Field(default=None, description="None: exact keys alone.")
    guards: Guards = Guards()
    survivorship: Survivorship = Survivorship.MOST_COMPLETE
    fields: dict[str, FieldSurvivor] = Field(
        default_factory=dict, description="Fields that do not simply follow the surviving record."
    )
    newest_by: str | None = Field(default=None, description="Date or datetime field that tells which row is newer.")
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

    @model_validator(mode="after")
    def _newest_known(self) -> Self:
        if self.newest_by is None and FieldSurvivor.NEWEST in self.fields.values():
            raise ValueError("a field that takes the newest value needs `newest_by`")
        return self
