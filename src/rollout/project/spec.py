"""`rollout.yaml` as frozen models. Unknown keys are errors; sections that later phases need are laid out there."""

from __future__ import annotations

from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from rollout.mapping.spec import SourceSpec
from rollout.match.spec import MatchSpec
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec, FieldType
from rollout.model.verdict import Criterion
from rollout.project.workspace import DEFAULT_WORKSPACE

NAME = r"^[a-z][a-z0-9_]*$"
Language = Literal["zh", "en"]
PhaseName = Literal["plan", "load", "verify"]


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
    phases: tuple[PhaseName, ...] = ("plan", "load", "verify")
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


class EntitySpec(Frozen):
    """One entity: its fields, where its rows come from, what must be loaded before it."""

    label: str
    label_en: str = ""
    target_name: str | None = Field(default=None, description="The entity's name in the target, if it differs.")
    fields: dict[str, FieldSpec] = Field(min_length=1)
    title_field: str = Field(description="The field people know a record by.")
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    depends_on: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.title_field not in self.fields:
            raise ValueError(f"title_field '{self.title_field}' is not a field")
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


class OwnerMapSection(Frozen):
    """Legacy salespeople → users of the target."""

    file: str = Field(description="CSV with the columns legacy_name, user.")
    unmapped: Literal["quarantine", "default"] = "quarantine"
    default: str | None = Field(default=None, description="User who gets rows of unmapped owners.")

    @model_validator(mode="after")
    def _default_named(self) -> Self:
        if self.unmapped == "default" and not self.default:
            raise ValueError("unmapped: default needs a default user")
        return self


class WaveSpec(Frozen):
    """A part of the rollout. One wave takes everything; filters come with the pilot."""

    name: str = Field(pattern=NAME)
    label: str = ""


class VerifySample(Frozen):
    """The acceptance rule's sample, drawn by SHA256(seed‖key)."""

    share: float = Field(default=0.10, gt=0, le=1)
    max_wrong_share: float = Field(default=0.01, gt=0, lt=1, description="What the sample's bound must prove.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: str = "rollout"


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

    undo_window_h: int = Field(default=72, ge=1, description="Hours that before-images are kept.")
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
    waves: tuple[WaveSpec, ...] = Field(
        default=(WaveSpec(name="all"),),
        max_length=1,
        description="One for now: waves with filters come with the pilot.",
    )
    verify: VerifySample = VerifySample()
    gates: dict[str, GateSpec] = Field(default_factory=dict)
    privacy: PrivacySection = PrivacySection()
    report: ReportSection = ReportSection()
    retention: RetentionSection = RetentionSection()

    @property
    def load_order(self) -> tuple[str, ...]:
        """Entities, parents first. Raises ValueError naming the cycle."""
        order: list[str] = []
        path: list[str] = []

        def visit(name: str) -> None:
            if name in order:
                return
            if name in path:
                raise ValueError("cyclic depends_on: " + " → ".join([*path[path.index(name) :], name]))
            path.append(name)
            for parent in self.parents(name):
                visit(parent)
            path.pop()
            order.append(name)

        for name in self.entities:
            visit(name)
        return tuple(order)

    def parents(self, entity: str) -> tuple[str, ...]:
        """Entities that must be loaded before this one: declared, and those its references point to."""
        spec = self.entities[entity]
        named = (*spec.depends_on, *spec.references.values())
        return tuple(dict.fromkeys(name for name in named if name != entity and name in self.entities))
