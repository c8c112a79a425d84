"""The states that flows end in: errors and gates by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect import State
from prefect.states import Completed, Failed

from rollout.model.verdict import GateResult, Verdict


def failed(state: State[Any]) -> State[Any]:
    """The state in which a flow ends after its task or sub-flow ended in `state`."""
    return Failed(name=state.name, message=state.message)


def gate_state(gates: Iterable[GateResult], data: Any = None) -> State[Any]:
    """How a flow ends that asked its gates: only all of them green is plain success. `data` is its result."""
    judged = list(gates)
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        for gate in judged:
            if gate.verdict is verdict:
                open_criteria = ", ".join(
                    f"{result.metric} {'–' if result.observed is None else f'{result.observed:g}'}"
                    f" (needs {result.comparison.value} {result.threshold:g})"
                    for result in gate.criteria
                    if result.blocking and result.verdict is not Verdict.PASS
                )
                message = f"gate {gate.gate} is {verdict.value}: {open_criteria or 'no blocking criterion'}"
                if verdict is Verdict.FAIL:
                    return Failed(name=f"GateFailed-{gate.gate}", message=message, data=data)
                return Completed(name="AwaitingDecision", message=message, data=data)
    if not judged:
        return Completed(
            name="AwaitingDecision", message="no gate was judged, and no evidence promotes nothing", data=data
        )
    return Completed(name="GatesPassed", message=", ".join(f"{gate.gate} PASS" for gate in judged), data=data)
