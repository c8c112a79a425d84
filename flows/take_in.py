"""Take in workbooks that came back. Twins: ``rollout … import`` of each kind, and ``rollout dormant decide``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import Field

from flows._decisions import DecisionOptions, forget_code, go_on_with
from flows._handouts import Taken, Trouble, in_words, publish_handouts, publish_trouble, returned_file
from flows._states import failed
from flows._tasks import phase_task
from flows.handouts import KIND, Kind
from rollout.errors import ConfigError
from rollout.phases.context import PhaseContext
from rollout.phases.dormant_people import decide_dormant
from rollout.phases.map_import import import_map
from rollout.phases.quarantine_import import RECORDED, import_quarantine
from rollout.phases.review_import import import_review
from rollout.phases.sample_import import import_sample


class TakeInOptions(DecisionOptions):
    """Which workbooks came back, and who answers for them."""

    kind: Kind = KIND
    files: tuple[str, ...] = Field(
        min_length=1,
        max_length=200,
        title="文件 · Files",
        description="填好的工作簿：执行主机上的路径，或工作区 handouts 内的名称；mapping 每次一个。"
        "Paths on the worker's machine, or names below the workspace's folder handouts; of mapping one at a time.",
    )

    @property
    def label(self) -> str:
        """What the run's name says."""
        return f"{self.kind} · {self.person}"


Signed = dict[str, str]


def _quarantine(context: PhaseContext, files: Sequence[Path], signed: Signed) -> Taken:
    done = import_quarantine(context, files, **signed)
    wrong = [row for row in done.rows if row.problems or row.outcome not in RECORDED]
    told = [Trouble(f"{row.file}:{row.line}", row.key, in_words(context, row)) for row in wrong]
    return Taken(f"{done.recorded:,} rows recorded", told, is_refused=False)


def _dormant(context: PhaseContext, files: Sequence[Path], signed: Signed) -> Taken:
    done = decide_dormant(context, files=files, **signed)
    chosen = sum(sum(counts.values()) for counts in done.entities.values())
    told = [Trouble("–", "–", problem) for problem in done.problems]
    return Taken(f"{chosen:,} records decided", told, is_refused=bool(done.problems))


def _review(context: PhaseContext, files: Sequence[Path], signed: Signed) -> Taken:
    done = import_review(context, files, **signed)
    told = [Trouble(f"{one.file}:{one.line}", one.pair, f"{one.message} → {one.hint}") for one in done.problems]
    return Taken(f"{done.same:,} same, {done.different:,} different", told, is_refused=bool(told))


def _sample(context: PhaseContext, files: Sequence[Path], signed: Signed) -> Taken:
    done = import_sample(context, files, person=signed["person"], code=signed["code"])
    told = [Trouble(f"{one.file}:{one.line}", "–", f"{one.message} → {one.hint}") for one in done.problems]
    return Taken(f"{done.right:,} right, {done.wrong:,} wrong", told, is_refused=bool(told))


def _mapping(context: PhaseContext, files: Sequence[Path], signed: Signed) -> Taken:
    if len(files) > 1:
        raise ConfigError("several workbooks of the mapping", hint="bring in one; export anew before the next")
    done = import_map(context, files[0], apply=True, **signed)
    told = [Trouble(f"{one.sheet}:{one.line}", one.place, f"{one.message} → {one.hint}") for one in done.problems]
    return Taken(f"{len(done.changes):,} cells written", told, is_refused=bool(told))


READERS: dict[Kind, Callable[[PhaseContext, Sequence[Path], Signed], Taken]] = {
    "quarantine": _quarantine,
    "dormant": _dormant,
    "review": _review,
    "sample": _sample,
    "mapping": _mapping,
}


@phase_task("take in")
def read_workbooks(context: PhaseContext, options: TakeInOptions) -> Taken:
    """Check the code, record what people filled in, publish who still has a workbook and what could not be taken."""
    folder = context.project.workspace.handouts
    signed = {"person": options.person, "code": options.code.get_secret_value(), "reason": options.reason}
    files = [returned_file(folder, options.kind, file) for file in options.files]
    taken = READERS[options.kind](context, files, signed)
    publish_handouts(context, options.kind)
    publish_trouble(context, options.kind, taken.trouble)
    return taken


@flow(name="take-in", flow_run_name="take-in · {options.label}")
def take_in(options: TakeInOptions) -> State[Any]:
    """Take in workbooks that came back, and go on: with the rollout, or with a verification after a sample."""
    forget_code(options)
    state = read_workbooks(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    taken: Taken = state.result()
    if taken.is_refused:
        return Failed(name="NotTaken", message=f"nothing was recorded: {len(taken.trouble)} lines, see Artifacts")
    message = f"{taken.told} by {options.person}"
    if options.go_on:
        message += go_on_with(options, "verify" if options.kind == "sample" else "rollout")
    return Completed(name="StillWrong" if taken.trouble else "TakenIn", message=message, data=taken)
