"""What cleansing made of an entity, as data: recorded in the journal, read by reports and by what comes after."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.finding import Finding


class FieldVolume(Frozen):
    """What became of a field's cells; rows that are blank or left out do not count."""

    filled: int = Field(description="Cells with anything in them.")
    kept: int = Field(description="Cells that have a value after mapping; defaults and constants among them.")
    changed: int = Field(description="Of those the ones that read otherwise than before.")


class DormantRecords(Frozen):
    """The records of an entity that count as dormant, and what people said about them."""

    as_of: date
    found: int = Field(description="Golden records.")
    undecided: int
    choices: dict[str, int] = Field(description="Records by what a person decided: keep, frozen, pool, leave_out.")
    left_out_rows: int = Field(default=0, description="Source rows of this entity that went with those left out.")
    file: str = Field(description="The records: `_golden_key`, `last_on`, `last_kind`, `choice`.")


class EntityCleansing(Frozen):
    """What cleansing made of an entity. File names are relative to the workspace's stages."""

    entity: str
    key: str = Field(description="Hash of inputs, rules and code.")
    source: int = Field(description="Rows of all sources, as counted when they were read.")
    clean: int
    golden: int
    merged: int
    quarantined: int
    skipped: int
    clusters: int = Field(description="Golden records that more than one row went into.")
    review: int = Field(default=0, description="Pairs of rows that may be one record: people are asked.")
    waves: dict[str, int] = Field(description="Source rows by wave, in their order.")
    problems: dict[str, int] = Field(description="Problems by reason code; a row may have several.")
    volumes: dict[str, FieldVolume] = Field(default_factory=dict, description="By field what became of its cells.")
    repaired: int = Field(default=0, description="Rows with values that people put right.")
    left_out: int = Field(default=0, description="Rows that people left out of the quarantine; they are skipped.")
    dormant: DormantRecords | None = Field(default=None, description="None: the entity has no such rule.")
    raw_files: tuple[str, ...]
    clean_file: str
    quarantine_file: str
    held_file: str = Field(description="What could be read of the rows that did not become clean.")
    skipped_file: str
    golden_file: str
    merges_file: str
    review_file: str = Field(description="Pairs of rows that people are asked about.")
    waves_file: str = Field(description="The waves of rows in quarantine and of skipped ones.")
    findings: tuple[Finding, ...]

    @property
    def accounted(self) -> bool:
        """Whether every source row is in exactly one place."""
        placed = self.golden + self.merged + self.quarantined + self.skipped
        return self.source == placed == sum(self.waves.values())
