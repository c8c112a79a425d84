"""The options that flows share; Prefect makes their forms of them."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


def _form_order(schema: dict[str, Any]) -> None:
    """Keep a form's fields in the order they are declared in, those every flow shares last (the UI sorts by it)."""
    names = sorted(schema["properties"], key=lambda name: name in ProjectOptions.model_fields)
    for position, name in enumerate(names):
        schema["properties"][name]["position"] = position


class ProjectOptions(BaseModel):
    """Which rollout a run belongs to."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_form_order)

    project: str = Field(
        default="",
        title="项目 · Project",
        description="rollout.yaml 所在文件夹；留空则用本平台启动时的项目。"
        "Folder that holds rollout.yaml; empty: the project this platform was started for.",
    )
    environment: str = Field(
        default="",
        title="环境 · Environment",
        description="rollout.yaml 中 environments 的名称；留空为基础设置。"
        "A name under `environments:` in rollout.yaml; empty: the base settings.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase: entity and wave."""
        return "all entities · all waves"


class WaveOptions(ProjectOptions):
    """Options of phases that take one wave after the other."""

    in_turn: ClassVar[str] = "next wave"
    """What a run's name says where no wave is named."""

    wave: str = Field(
        default="",
        max_length=64,
        title="批次 · Wave",
        description="rollout.yaml 中 waves 的名称；留空则依次进行。A name under `waves:`; empty: the one in turn.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase: entity and wave."""
        return f"all entities · {f'wave {self.wave}' if self.wave else self.in_turn}"


class EntityOptions(WaveOptions):
    """Options of phases that can be limited to some entities of a wave."""

    entities: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        title="实体 · Entities",
        description="只处理这些实体，如 account、contact；留空为全部。Only these entities; empty: all, parents first.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase: entity and wave."""
        wave = f"wave {self.wave}" if self.wave else self.in_turn
        return f"{', '.join(self.entities) or 'all entities'} · {wave}"
