"""What an assessment found, as data that documents and the journal read. Counts are rows; shares are 0 to 1."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from rollout.assess.advice_model import Advice
from rollout.assess.entity_model import EntityFigures
from rollout.model.base import Frozen
from rollout.model.entity import FieldType
from rollout.model.finding import Finding


class Ratio(Frozen):
    """A figure that can be recomputed: part of whole."""

    part: int = Field(ge=0)
    whole: int = Field(ge=0)

    @property
    def share(self) -> float | None:
        """0 to 1; None where there is nothing to judge (never 100 % of nothing)."""
        return self.part / self.whole if self.whole else None

    def __add__(self, other: Ratio) -> Ratio:
        """The ratio over both populations."""
        return Ratio(part=self.part + other.part, whole=self.whole + other.whole)


class FormatShare(Frozen):
    """A pattern class (9 = digit, 中 = Chinese text, a… = letters), how many sampled rows have it, a masked example."""

    pattern: str
    rows: int
    example: str


class ValueCount(Frozen):
    """A value of a column and the rows that have it."""

    value: str
    rows: int


class Violation(Frozen):
    """A rule that values of a field break: the reason code, how many rows, and what becomes of them."""

    code: str
    done: str = Field(description="quarantined, dropped or defaulted; kept: put right, the value stays.")
    rows: int


class FieldProfile(Frozen):
    """One column of one source. ``filled`` leaves out blanks and placeholders."""

    column: str
    targets: tuple[str, ...] = Field(default=(), description="Fields of the entity that the mapping fills from it.")
    label: str = ""
    type: FieldType | None = Field(default=None, description="Of the first mapped field; None: unmapped.")
    required: bool = False
    personal: bool = False
    rows: int
    filled: int
    placeholders: int
    distinct: int
    distinct_exact: bool = Field(default=True, description="False: estimated within some percent.")
    min_length: int | None = None
    max_length: int | None = None
    invalid: int | None = Field(default=None, description="Rows whose value the mapping cannot use; None: not judged.")
    too_long: int = 0
    control: int = Field(default=0, description="Rows with control, line-break or invisible characters.")
    full_width: int = Field(default=0, description="Rows with full-width letters or digits.")
    formula: int = Field(default=0, description="Rows that a spreadsheet would take for a formula.")
    formats: tuple[FormatShare, ...] = ()
    more_formats: int = Field(default=0, description="Pattern classes beyond those listed.")
    sampled: int = Field(default=0, description="Filled rows on which the format shares rest.")
    values: tuple[ValueCount, ...] = Field(default=(), description="Of a pick-list or yes/no, over all rows.")
    top: tuple[ValueCount, ...] = Field(
        default=(), description="Commonest values among the sampled rows; masked but for words that many rows have."
    )
    low: str | None = Field(default=None, description="Least number or earliest day that the mapping makes of it.")
    high: str | None = Field(default=None, description="Greatest number or latest day.")
    violations: tuple[Violation, ...] = ()

    @property
    def fill(self) -> Ratio:
        """Filled rows of all rows."""
        return Ratio(part=self.filled, whole=self.rows)


class FileProfile(Frozen):
    """One file of a source."""

    path: str
    rows: int
    encoding: str = ""


class ReferenceProfile(Frozen):
    """A column that points to another entity, and how many rows point to no row of it."""

    column: str
    field: str = ""
    entity: str
    rows: int = Field(description="Rows with a value.")
    unknown: int


class RequiredField(Frozen):
    """A required field and the rows of a source that have no value for it."""

    field: str
    label: str = ""
    columns: tuple[str, ...]
    missing: int


class MissingColumn(Frozen):
    """A column that the mapping reads, and the files (and sheets) that lack it."""

    column: str
    files: tuple[str, ...]


class SourceProfile(Frozen):
    """One source of one entity."""

    name: str
    rows: int
    unreadable: int = Field(default=0, description="Rows that could not be read as rows.")
    files: tuple[FileProfile, ...] = ()
    fields: tuple[FieldProfile, ...] = ()
    required: tuple[RequiredField, ...] = ()
    references: tuple[ReferenceProfile, ...] = ()
    row_key: tuple[str, ...] = ()
    missing_columns: tuple[MissingColumn, ...] = ()
    duplicate_rows: int = Field(default=0, description="Rows equal to an earlier row in every column.")
    repeated_keys: int = Field(default=0, description="Rows whose key an earlier row has.")
    blank_keys: int = Field(default=0, description="Rows without a key.")
    ready: int = Field(default=0, description="Rows that cleansing lets through; references are judged apart.")
    row_rules: tuple[Violation, ...] = Field(default=(), description="Rules over several fields that rows break.")

    @property
    def completeness(self) -> Ratio:
        """Filled required values of all required values."""
        whole = self.rows * len(self.required)
        return Ratio(part=whole - sum(field.missing for field in self.required), whole=whole)

    @property
    def validity(self) -> Ratio:
        """Values that the mapping can use of all that are filled and mapped."""
        judged = [field for field in self.fields if field.invalid is not None]
        whole = sum(field.filled for field in judged)
        return Ratio(part=whole - sum(field.invalid or 0 for field in judged), whole=whole)

    @property
    def uniqueness(self) -> Ratio:
        """Rows with a key of their own of all rows."""
        return Ratio(part=self.rows - self.repeated_keys - self.blank_keys, whole=self.rows)

    @property
    def integrity(self) -> Ratio:
        """References that lead to a row of all that have a value."""
        whole = sum(reference.rows for reference in self.references)
        return Ratio(part=whole - sum(reference.unknown for reference in self.references), whole=whole)

    @property
    def readiness(self) -> Ratio:
        """Rows that could be loaded as they are of all rows."""
        return Ratio(part=self.ready, whole=self.rows)


class EntityProfile(Frozen):
    """One entity over all its sources."""

    name: str
    label: str
    label_en: str = ""
    sources: tuple[SourceProfile, ...]
    figures: EntityFigures | None = Field(default=None, description="None: in assessments made before there were any.")

    @property
    def rows(self) -> int:
        """Rows of all sources."""
        return sum(source.rows for source in self.sources)


class Assessment(Frozen):
    """The whole assessment; the data asset assessment report prints nothing else."""

    project: str
    project_en: str = ""
    company: str
    company_en: str = ""
    run_id: str = ""
    assessed_at: datetime = Field(description="Aware, UTC.")
    time_zone: str = "UTC"
    entities: tuple[EntityProfile, ...]
    findings: tuple[Finding, ...]
    advice: Advice = Advice()

    @property
    def sources(self) -> tuple[tuple[EntityProfile, SourceProfile], ...]:
        """Every source with its entity, in load order."""
        return tuple((entity, source) for entity in self.entities for source in entity.sources)
