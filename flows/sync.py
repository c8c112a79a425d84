"""Sync: carry orders, messages and the like into the CRM, every few minutes. Twin: ``rollout sync run``."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import Field

from flows._options import ProjectOptions
from flows._states import failed
from flows._tables import publish_syncs
from flows._tasks import phase_task
from rollout.phases.context import PhaseContext
from rollout.phases.sync import SyncSummary, run_sync


class SyncOptions(ProjectOptions):
    """What to carry."""

    names: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        title="同步 · Syncs",
        description="rollout.yaml 中 integration.syncs 的名称；留空为全部。Names under `syncs:`; empty: all of them.",
    )

    @property
    def label(self) -> str:
        """What a run's name says after its phase."""
        return ", ".join(self.names) or "all syncs"


@phase_task("sync")
def carry(context: PhaseContext, options: SyncOptions) -> SyncSummary:
    """Carry what changed since the last run, and publish the figures."""
    summary = run_sync(context, options.names or None)
    publish_syncs(context, list(summary.syncs.values()))
    return summary


DEFAULTS = SyncOptions()


@flow(name="sync", flow_run_name="sync · {options.label}")
def sync(options: SyncOptions = DEFAULTS) -> State[Any]:
    """Carry what changed in the systems around the CRM into it."""
    state = carry(options, return_state=True)
    if not state.is_completed():
        return failed(state)
    summary: SyncSummary = state.result()
    stopped = [f"{name}: {figures.stopped}" for name, figures in summary.syncs.items() if figures.stopped]
    if stopped:
        return Failed(name="SyncStopped", message="; ".join(stopped), data=summary)
    carried = sum(figures.created + figures.updated for figures in summary.syncs.values())
    return Completed(message=f"{carried} records carried", data=summary)
