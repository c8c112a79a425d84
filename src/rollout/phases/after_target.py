"""A target that is loaded after another one: its waves stay closed until that one holds them, verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.errors import ApprovalError
from rollout.journal.elsewhere import Held, held_in
from rollout.journal.facts import RESTED_ON
from rollout.model.progress import Decision, Judgement
from rollout.model.verdict import Verdict
from rollout.phases.context import PhaseContext
from rollout.phases.wave_order import GATES


def refuse_before_other(context: PhaseContext, target_name: str, wave: str, inputs: Mapping[str, Any]) -> None:
    """Refuse a wave of a target whose `after` names one that does not hold the same yet.

    Args:
        context: The phase's context.
        target_name: The target that is planned or loaded.
        wave: The wave.
        inputs: What the plan rests on.

    Raises:
        ApprovalError: The other target was not loaded with this wave from the same sources and rules, what it was
            loaded with was not verified since, or a gate there is not PASS and nobody overrode it by name.
    """
    other = context.project.spec.targets[target_name].after
    if other is None:
        return
    held = held_in(context.journal, other, wave, GATES)
    missing = f"it was not loaded into '{other}'" if held is None else _missing(held, other, inputs)
    if missing:
        raise ApprovalError(
            f"wave '{wave}' may not go to '{target_name}' yet: {missing}",
            where=f"targets.{target_name}.after",
            hint=f"plan, load and verify the wave in the environment that works on '{other}' (`--env`), then come back",
        )


def _missing(held: Held, other: str, inputs: Mapping[str, Any]) -> str | None:
    """What is not as it must be, in words; None: nothing."""
    if held.is_taken_back:
        return f"it was taken back from '{other}'"
    changed = [name for name in RESTED_ON if held.overlay.base.inputs.get(name) != inputs[name]]
    if changed:
        return f"what '{other}' holds of it is from other {' and '.join(changed)}"
    if not held.is_finished:
        return f"its load into '{other}' is not finished"
    if not all(gate in held.judgements for gate in GATES):
        return f"it was not verified in '{other}' since it was loaded"
    refused = [f"{gate} ({held.judgements[gate].verdict.value})" for gate in GATES if not _carries(held, gate)]
    return f"a gate in '{other}' does not carry it: {', '.join(refused)}" if refused else None


def _carries(held: Held, gate: str) -> bool:
    """Whether a gate is PASS or overridden, by people who saw this very judgement."""
    judged = held.judgements[gate]
    seen = _seen(held.decisions, judged)
    if any(decision.phase == "verify" and not decision.is_go for decision in seen):
        return False
    return judged.verdict is Verdict.PASS or any(decision.is_go and decision.is_override for decision in seen)


def _seen(decisions: tuple[Decision, ...], judged: Judgement) -> list[Decision]:
    """The newest decision of each phase and wave, of those that were taken on a judgement."""
    newest = {}
    for decision in decisions:
        saw = decision.gates.get(f"{judged.gate}/{judged.wave}")
        if saw is not None and saw.seq == judged.seq:
            newest[decision.phase, decision.wave] = decision
    return list(newest.values())
