"""What an assessment found of an entity as a whole, over all its sources. Counts are records; shares are 0 to 1.

A record is what the mapping makes of a source row, whether cleansing lets it through or not; rows that repeat each
other by declaration (`repeats: same`) are one record.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from rollout.model.base import Frozen


class KeyDuplicates(Frozen):
    """Records that agree with an earlier one on an exact key."""

    name: str
    records: int


class Duplicates(Frozen):
    """How many records are there more than once."""

    records: int
    exact: int = Field(description="Records that agree with an earlier one on an exact key of the project.")
    keys: tuple[KeyDuplicates, ...] = Field(default=(), description="The same by key; a record may be in several.")
    likely: int | None = Field(default=None, description="Further records that are likely the same as another one.")
    method: Literal["model", "name", "none"] = Field(
        default="none",
        description="How the likely ones were found. model: by the matching model of the project, as trained; name: by "
        "what spellings of a name have in common; none: not looked for.",
    )
    fields: tuple[str, ...] = Field(default=(), description="Fields that the likely ones agree on, or are compared by.")
    sampled: int | None = Field(default=None, description="Records on which `likely` was estimated; None: all.")

    @property
    def is_judged(self) -> bool:
        """Whether anything says when two records are the same."""
        return bool(self.keys) or self.method != "none"

    @property
    def unique(self) -> int:
        """Records that are left when all duplicates are merged."""
        return max(self.records - self.exact - (self.likely or 0), 0)


class AgeBand(Frozen):
    """Records whose last sign of life is this many whole years ago."""

    years: int
    records: int


class KindCount(Frozen):
    """Records whose last sign of life is of this kind: an entity, or a date field of their own."""

    kind: str
    records: int


class Dormancy(Frozen):
    """Records nothing happened with. What exact keys make one record counts once: an order of either wakes both."""

    records: int
    dormant: int = Field(description="Last seen before the cut-off, or never.")
    never: int = Field(description="Of these: without any sign of life at all.")
    after_years: float
    cutoff: date
    ages: tuple[AgeBand, ...] = ()
    kinds: tuple[KindCount, ...] = ()


class OwnerCount(Frozen):
    """Records of one user of the target, or of one unknown legacy name (masked)."""

    name: str
    rows: int


class Owners(Frozen):
    """Who the rows belong to, by the owner map. Rows, of the sources whose mapping names an owner."""

    rows: int
    mapped: int = Field(description="Of somebody who is a user of the target.")
    pool: int = Field(description="Of people who left without a successor: these rows go to the pool.")
    unknown: int = Field(description="Of names that the owner map does not have.")
    unknown_names: int = Field(description="How many such names there are.")
    leavers: int = Field(default=0, description="Names that the owner map sends to the pool.")
    successors: int = Field(default=0, description="Further names of a user who has several: spellings, or leavers.")
    blank: int = Field(description="Without an owner.")
    users: tuple[OwnerCount, ...] = ()
    unknown_top: tuple[OwnerCount, ...] = Field(default=(), description="The commonest unknown names, masked.")


class YearCount(Frozen):
    """Records of a source in a year."""

    source: str
    year: int
    records: int


class Volumes(Frozen):
    """Records by source and year of one date field."""

    field: str
    label: str = ""
    years: tuple[YearCount, ...]
    undated: int = Field(description="Records without that date.")
    ahead: int = Field(default=0, description="Records dated after today, of a date that tells what has happened.")


class EntityFigures(Frozen):
    """All of it."""

    duplicates: Duplicates
    dormancy: Dormancy | None = Field(default=None, description="None: the project does not say who is dormant.")
    owners: Owners | None = Field(default=None, description="None: no mapping of the entity names an owner.")
    volumes: Volumes | None = Field(default=None, description="None: no date field.")
