"""Waves by name and in turn: which one a phase means that was not told."""

from __future__ import annotations

from rollout.errors import ConfigError
from rollout.journal.facts import overrides
from rollout.journal.overlay import is_finished, overlay_of
from rollout.model.verdict import Verdict
from rollout.phases.context import PhaseContext
from rollout.phases.drift import source_inputs

GATES = ("load", "verify")
"""Gates that a wave has passed when it is finished."""


def refuse_unknown_wave(context: PhaseContext, wave: str) -> None:
    """Raises ConfigError naming the known waves."""
    names = [known.name for known in context.project.spec.waves]
    if wave not in names:
        raise ConfigError(f"unknown wave: {wave}", hint=f"known, in order: {', '.join(names)}")


def next_wave(context: PhaseContext, target_name: str) -> str:
    """The first wave that is not finished, or the last one if all are.

    A wave is finished when the newest plan of it that a load has begun is wholly applied, with the retries after it;
    when none of it was taken back, it rests on the sources and rules as they are now, and each of the wave's gates
    `load` and `verify` is PASS or overridden by name.
    """
    names = [wave.name for wave in context.project.spec.waves]
    if len(names) == 1:
        return names[0]
    inputs = source_inputs(context)
    for name in names[:-1]:
        with context.journal.transaction() as connection:
            overlay = overlay_of(connection, context.journal.project_id, target_name, name)
            applied = overlay is not None and overlay.newest.state == "applied" and is_finished(connection, overlay)
        if overlay is None or not applied or any(overlay.base.inputs[key] != inputs[key] for key in inputs):
            return name
        if not all(_is_passed(context, gate, name) for gate in GATES):
            return name
    return names[-1]


def _is_passed(context: PhaseContext, gate: str, wave: str) -> bool:
    """Whether a gate is PASS, or a person went on in spite of its latest judgement."""
    judged = context.journal.latest_gate(gate, wave=wave)
    if judged is None or judged.verdict is Verdict.PASS:
        return judged is not None
    return any(override.holds for override in overrides(context.journal, gate, wave))
