"""`rollout.yaml` as frozen models. Unknown keys are errors; sections that later phases need are laid out there."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from rollout.cleanse.spec import RowRule
from rollout.mapping.spec import SourceSpec
from rollout.match.spec import MatchSpec
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec, FieldType
from rollout.model.verdict import Criterion
from rollout.project.order import load_order, parents_of
from rollout.project.spec_around import IntegrationSection, LoadTestSection, OperationsSection
from rollout.project.spec_data import DormantSpec, HandoutSection, NumberSpec, OwnerMapSection, PeopleSample
from rollout.project.workspace import DEFAULT_WORKSPACE

NAME = r"^[a-z][a-z0-9_]*$"
Language = Literal["zh", "en"]
PhaseName = Literal["plan", "load", "verify", "integrate", "loadtest", "operate"]
"""Phases that work on a target."""


class ProjectSection(Frozen):
    """Who and where."""

    id: str = Field(
        pattern=r"^[a-z][a-z0-9-]*$", description="Marks this project's rows in the journal; never change it."
    )
    name: str
    name_en: str = ""
    time_zone: str = "Asia/Shanghai"
    languages: tuple[Language, ...] = Field(default=("zh", "en"), min_length=1)
    phone_region: str = Field(default="CN", pattern="^[A-Z]{2}$", description="Region of numbers without country code.")
    workspace: str = Field(
        default=DEFAULT_WORKSPACE, description="Stages, reports and the embedded database, relative to the project."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone '{value}'") from error
        return value


class SystemSpec(Frozen):
    """An outside system: a connector and its options. Secrets only as `${env:NAME}`."""

    connector: str
    label: str = ""
    options: dict[str, Any] = Field(default_factory=dict)


class TargetSpec(Frozen):
    """A target CRM, and the phases that use it."""

    system: str
    phases: tuple[PhaseName, ...] = get_args(PhaseName)
    batch_rows: int | None = Field(default=None, ge=1, description="Rows a call; None: what the connector allows.")
    concurrency: int | None = Field(
        default=None, ge=1, le=32, description="Calls at once; None: what the connector allows."
    )
    max_attempts: int = Field(
        default=5, ge=1, le=20, description="Calls a row gets while the target answers 'try again'."
    )
    max_conflict_share: float = Field(
        default=0.01, ge=0, le=1, description="Share of planned rows in conflict above which a load stops."
    )
    window_h: float | None = Field(
        default=None, gt=0, description="Hours that a load may take; one that cannot finish in them is refused."
    )
    daily_calls: int | None = Field(
        default=None, ge=1, description="Calls a day that we may use of what the target allows; None: all of them."
    )
    suppress_automation: bool = Field(
        default=True, description="Ask the target to keep workflows and notifications quiet, where it can."
    )
    after: str | None = Field(
        default=None,
        description="This target is loaded only after the named target was: the same wave, loaded and verified there "
        "with green gates, or overridden by name, from the same sources and rules.",
    )


class EntitySpec(Frozen):
    """One entity: its fields, where its rows come from, what must be loaded before it."""

    label: str
    label_en: str = ""
    target_name: str | None = Field(default=None, description="The entity's name in the target, if it differs.")
    fields: dict[str, FieldSpec] = Field(min_length=1)
    title_field: str = Field(description="The field people know a record by.")
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    depends_on: tuple[str, ...] = ()
    adopt_by: tuple[tuple[str, ...], ...] = Field(
        default=(),
        description="Sets of fields: a record that people created in the target is taken for ours when all fields of "
        "one set have a value and agree. Empty: the keys by which records are matched.",
    )
    ownership: dict[str, Literal["shared", "source", "crm"]] = Field(
        default_factory=dict,
        description="Who a field belongs to while both systems live. shared (default): changed on both sides it is a "
        "conflict. source: the source's value is written whatever people typed, and the plan lists it. crm: never "
        "written again once the record exists.",
    )

    number: NumberSpec | None = Field(default=None, description="The record's own number in the target.")
    rules: tuple[RowRule, ...] = Field(
        default=(), description="Over the cleansed values of a whole row, such as: an end is not before its start."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.title_field not in self.fields:
            raise ValueError(f"title_field '{self.title_field}' is not a field")
        named = {*self.ownership, *(name for fields in self.adopt_by for name in fields)}
        if stray := sorted(named - set(self.fields)):
            raise ValueError(f"adopt_by or ownership names what is not a field: {', '.join(stray)}")
        if self.number and self.number.field not in self.fields:
            raise ValueError(f"number: '{self.number.field}' is not a field")
        if not all(self.adopt_by):
            raise ValueError("a set of fields in adopt_by is empty")
        for name, spec in self.fields.items():
            if spec.type is FieldType.REFERENCE and not spec.references:
                raise ValueError(f"field '{name}': a reference needs `references`")
            if spec.type is FieldType.PICKLIST and not spec.picklist:
                raise ValueError(f"field '{name}': a picklist needs its values")
        return self

    @property
    def references(self) -> dict[str, str]:
        """Reference fields and the entity each points to."""
        return {name: spec.references for name, spec in self.fields.items() if spec.references}


class CleanseSection(Frozen):
    """Cleansing of all entities."""

    chunk_rows: int = Field(default=100_000, ge=1_000, le=1_000_000)
    placeholders: tuple[str, ...] = Field(
        default=("-", "--", "/", "无", "暂无", "未知", "不详", "N/A", "NA", "NULL", "null", "None", "#N/A"),
        description="Cell texts that mean 'no value'.",
    )


class WaveSpec(Frozen):
    """A part of the rollout: the records its filter takes of those no earlier wave took; the last takes the rest."""

    name: str = Field(pattern=NAME)
    label: str = ""
    where: dict[str, dict[str, tuple[str, ...]]] = Field(
        default_factory=dict,
        description="By entity and field the cleansed values that belong to this wave; all fields named must fit. "
        "Entities that are not named follow the records they refer to. Empty: everything.",
    )


class ControlTotal(Frozen):
    """A figure of the legacy system that the target must agree with, and how it was taken."""

    name: str = Field(pattern=NAME)
    entity: str
    measure: Literal["count", "sum"]
    field: str | None = Field(default=None, description="What is summed.")
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="By field the values that count.")
    expected: str = Field(
        pattern=r"^(-?\d+(\.\d+)?|auto)$",
        description="The legacy system's figure, as a decimal number; auto: added up from the source rows themselves, "
        "less what is told of rows that were merged, held back or left out.",
    )
    tolerance: str = Field(default="0", pattern=r"^\d+(\.\d+)?$", description="Difference that is accepted.")
    tax: Literal["included", "excluded", "none"] = Field(description="Whether amounts include tax.")
    status: str = Field(description="Which states count, in words, such as 'all but cancelled'.")
    returns: str = Field(description="How returns count, in words, such as 'as negative amounts'.")
    as_of: str = Field(description="When the figure was taken: an ISO date or date and time.")
    wave: str | None = Field(
        default=None, description="The wave whose load completes the figure. Default: the last, that is everything."
    )

    @model_validator(mode="after")
    def _summed(self) -> Self:
        if (self.measure == "sum") != (self.field is not None):
            raise ValueError("`field` names what is summed: a sum needs it, a count has none")
        return self


class LayerSpec(Frozen):
    """Entities that are loaded and verified together, before the next layer may start."""

    name: str = Field(pattern=NAME)
    label: str = ""
    entities: tuple[str, ...] = Field(min_length=1)
    control_totals: tuple[ControlTotal, ...] = ()


class VerifySample(Frozen):
    """The acceptance rule's sample, drawn by SHA256(seed‖key)."""

    share: float = Field(default=0.10, gt=0, le=1)
    max_wrong_share: float = Field(default=0.01, gt=0, lt=1, description="What the sample's bound must prove.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: str = "rollout"
    people: PeopleSample | None = Field(
        default=None,
        description="The sample that people check (`rollout sample`); its criteria are shown from the first export on, "
        "or from the first verification where this section is there.",
    )


class GateSpec(Frozen):
    """A gate: its criteria are data."""

    criteria: tuple[Criterion, ...] = Field(min_length=1)


class PrivacySection(Frozen):
    """Masking."""

    mask: bool = Field(default=True, description="Mask personal data in logs, artifacts and reports.")


class ReportSection(Frozen):
    """Documents."""

    company: str = Field(default="", description="Printed on documents; default: the project's name.")


class RetentionSection(Frozen):
    """How long things are kept."""

    undo_window_h: int = Field(
        default=72,
        ge=1,
        description="Hours from the moment that users are let in (the go of the pilot for its wave, of go-live for the "
        "others; for later loads the load) in which a load can be taken back. Then its images are destroyed.",
    )
    stages_days: int = Field(default=30, ge=1, description="Days that stage files are kept.")


class ProjectSpec(Frozen):
    """The whole project file."""

    version: Literal[1] = 1
    project: ProjectSection
    systems: dict[str, SystemSpec] = Field(min_length=1)
    targets: dict[str, TargetSpec] = Field(min_length=1)
    entities: dict[str, EntitySpec] = Field(min_length=1)
    cleanse: CleanseSection = CleanseSection()
    match: dict[str, MatchSpec] = Field(default_factory=dict)
    owner_map: OwnerMapSection | None = None
    dormant: dict[str, DormantSpec] = Field(
        default_factory=dict, description="By entity; such records are decided by a person before a plan is made."
    )
    handouts: HandoutSection = HandoutSection()
    waves: tuple[WaveSpec, ...] = Field(
        default=(WaveSpec(name="all"),), min_length=1, description="In order; the first of several is the pilot."
    )
    layers: tuple[LayerSpec, ...] = Field(
        default=(),
        description="In order, such as master data, transactions, service history; entities that no layer names come "
        "first. Empty: one layer of everything.",
    )
    verify: VerifySample = VerifySample()
    gates: dict[str, GateSpec] = Field(default_factory=dict)
    integration: IntegrationSection | None = None
    loadtest: LoadTestSection | None = None
    operations: OperationsSection = OperationsSection()
    privacy: PrivacySection = PrivacySection()
    report: ReportSection = ReportSection()
    retention: RetentionSection = RetentionSection()

    @property
    def load_order(self) -> tuple[str, ...]:
        """Entities, parents first; optional references that close a cycle do not count.

        Raises ValueError naming a cycle that has none.
        """
        return load_order(self)

    def deferred(self, entity: str) -> tuple[str, ...]:
        """Reference fields of an entity whose parents come later in the load, or at the same time (itself)."""
        order = self.load_order
        place = order.index(entity)
        references = self.entities[entity].references
        return tuple(name for name, parent in references.items() if parent in order and order.index(parent) >= place)

    def parents(self, entity: str) -> tuple[str, ...]:
        """Entities that must be loaded before this one: declared, and those its references point to, unless later."""
        return tuple(parents_of(self)[entity])
