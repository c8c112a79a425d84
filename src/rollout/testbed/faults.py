"""Faults on demand, and a seeded schedule of them. Only with the start flag ``--faults``."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from rollout.testbed.dependencies import current_user
from rollout.testbed.fault_schedule import FaultPlan, FaultSchedule, PlannedFault, SufferedByEndpoint

router = APIRouter(prefix="/api/admin", tags=["faults"], dependencies=[Depends(current_user)])


def _plan(request: Request) -> FaultPlan:
    plan: FaultPlan = request.app.state.fault_plan
    return plan


@router.post("/faults", status_code=204, summary="Plan a fault")
def plan_fault(planned: PlannedFault, request: Request) -> None:
    """Let the next calls of an endpoint go wrong."""
    _plan(request).add(planned)


@router.delete("/faults", status_code=204, summary="Forget all faults")
def clear_faults(request: Request) -> None:
    """Everything goes well again: planned faults and the schedule are forgotten."""
    _plan(request).clear()


@router.post("/fault-schedule", status_code=204, summary="Let calls go wrong by chance")
def schedule_faults(schedule: FaultSchedule, request: Request) -> None:
    """Every call of the endpoints named draws its fault; the same seed draws the same ones for the same calls."""
    _plan(request).schedule(schedule)


@router.get("/fault-schedule", summary="What calls have met with since the schedule began")
def suffered(request: Request) -> SufferedByEndpoint:
    """Calls and faults of each endpoint."""
    return _plan(request).suffered()
