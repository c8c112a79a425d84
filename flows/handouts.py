"""Hand out workbooks. Twins: ``rollout quarantine|dormant|review|sample|map export``.

Personal data is masked in whatever this writes; unmasked workbooks leave by the command line alone, by name and sealed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from prefect import State, flow
from prefect.states import Completed
from pydantic import Field

from flows._handouts import publish_handouts
from flows._options import ProjectOptions
from flows._states import failed
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.dormant_people import export_dormant
from rollout.phases.map_export import export_map
from rollout.phases.quarantine_export import export_quarantine
from rollout.phases.review import export_review
from rollout.phases.sample import export_sample

Kind = Literal["quarantine", "dormant", "review", "sample", "mapping"]
KIND = Field(
    title="种类 · Kind",
    description="quarantine 待修复的行，dormant 休眠客户，review 疑似重复，sample 抽样核对，mapping 数据映射配置表。"
    "Rows to repair, dormant records, pairs to review, the sample to check, or the mapping.",
)


class HandoutOptions(ProjectOptions):
    """Which workbooks to write, and for whom."""

    kind: Kind = KIND
    by: Literal["owner", "region"] = Field(
        default="owner",
        title="每份给谁 · One for each",
        description="每个负责人或每个区域一份；用于 quarantine 和 sample。Owner or region; of quarantine and sample.",
    )
    language: Literal["", "zh", "en"] = Field(
        default="",
        title="语言 · Language",
        description="工作簿的语言；留空为项目的第一种。Of the workbooks; empty: the project's first.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return f"{self.kind} by {self.by}" if self.kind in ("quarantine", "sample") else self.kind


WRITERS: dict[Kind, Callable[[PhaseContext, Path, HandoutOptions], Any]] = {
    "quarantine": lambda c, to, o: export_quarantine(c, to, by=o.by, language=o.language or None),
    "dormant": lambda c, to, o: export_dormant(c, to / "dormant.xlsx", language=o.language or None),
    "review": lambda c, to, o: export_review(c, to, language=o.language or None),
    "sample": lambda c, to, o: export_sample(c, to, by=o.by, language=o.language or None),
    "mapping": lambda c, to, o: export_map(c, to / "mapping.xlsx", language=o.language or None),
}


@phase_task("hand out")
def write_workbooks(context: PhaseContext, options: HandoutOptions) -> list[str]:
    """Write the workbooks and publish who has one; answers the files of this run, of this workspace's folder."""
    folder = context.project.workspace.handouts / options.kind
    folder.mkdir(mode=0o700, exist_ok=True)
    began_at = context.clock()
    WRITERS[options.kind](context, folder, options)
    handed = publish_handouts(context, options.kind)
    return [one.file for one in handed if one.exported_at >= began_at]


@flow(name="handouts", flow_run_name="handouts · {options.label}")
def handouts(options: HandoutOptions) -> State[Any]:
    """Write workbooks for people into the workspace's folder `handouts`."""
    state = write_workbooks(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    files = state.result()
    return Completed(message=f"{len(files)} workbooks ({options.kind}), listed under Artifacts", data=files)
