"""Layered loading: master data, then transactions, then service history; each verified before the next may start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rollout.journal.outcomes import outcome_rows
from rollout.journal.plans import PlanRecord
from rollout.model.base import Frozen
from rollout.model.outcome import LOADED, Accounting
from rollout.model.verdict import GateResult, Measurement, Verdict, judge_gate
from rollout.phases.context import PhaseContext, TargetConnector, shown
from rollout.project.gates import criteria
from rollout.project.spec import ControlTotal, ProjectSpec
from rollout.verify.control_totals import AUTO, ControlTotalResult, Tally, due_totals, measured
from rollout.verify.gates import load_measurements, planned

GATE = "layer"
UNNAMED = "first"
"""What the layer of the entities that no layer names is called."""


@dataclass(frozen=True)
class Layer:
    """Entities that are loaded and verified together, parents first."""

    name: str
    entities: tuple[str, ...]


class LayerResult(Frozen):
    """What reading a layer back showed."""

    layer: str
    gate: GateResult
    control_totals: tuple[ControlTotalResult, ...]


def layers_of(spec: ProjectSpec) -> tuple[Layer, ...]:
    """The project's layers in order, each with its entities in load order; one layer where it declares none."""
    named = {entity for layer in spec.layers for entity in layer.entities}
    declared = [(UNNAMED, set(spec.load_order) - named), *((layer.name, set(layer.entities)) for layer in spec.layers)]
    return tuple(
        Layer(name, tuple(entity for entity in spec.load_order if entity in entities))
        for name, entities in declared
        if entities
    )


@dataclass
class LayerByLayer:
    """Hands out a plan's entities in the order to load them, and none of a layer before the earlier ones are verified.

    The caller holds the target's lease, and has loaded an entity when it asks for the next one.
    """

    context: PhaseContext
    plan: PlanRecord
    target: TargetConnector
    run_id: str
    results: list[LayerResult] = field(default_factory=list)

    def entities(self, chosen: Sequence[str]) -> Iterator[str]:
        """The chosen entities, layer by layer; ends early where a layer's gate is not PASS.

        Raises:
            Retryable: The target or the database cannot be reached.
        """
        earlier: list[Layer] = []
        for layer in layers_of(self.context.project.spec):
            names = [name for name in layer.entities if name in chosen]
            # A layer of which the plan has no row waits for nothing.
            if any(sum(self.plan.counts.get(name, {}).values()) for name in names):
                if not all(self._is_verified(before) for before in earlier):
                    return
                earlier.clear()
            yield from names
            earlier.append(layer)

    @property
    def stopped_by(self) -> LayerResult | None:
        """The layer that held up the next one; None: none did."""
        return next((result for result in self.results if result.gate.verdict is not Verdict.PASS), None)

    def _is_verified(self, layer: Layer) -> bool:
        result = verify_layer(self.context, self.plan, self.target, layer, run_id=self.run_id)
        if result is None:
            return True
        self.results.append(result)
        return result.gate.verdict is Verdict.PASS


def verify_layer(
    context: PhaseContext, plan: PlanRecord, target: TargetConnector, layer: Layer, *, run_id: str
) -> LayerResult | None:
    """Read a layer back, judge its gate and record it; None where the wave has no row of the layer.

    Raises:
        Retryable: The target or the database cannot be reached.
    """
    table = context.journal.accounting(plan.target, wave=plan.wave)
    names = [line.entity for line in table if line.entity in layer.entities and planned(line)]
    if not names:
        return None
    spec = context.project.spec
    seen = [_read_back(context, plan, target, name, layer) for name in names]
    totals = tuple(tally.result() for entity in seen for tally in entity.tallies)
    gate = judge_gate(
        f"{GATE}:{layer.name}",
        list(criteria(spec, GATE, control_totals=len(totals))),
        [*load_measurements(table, names), *_measurements(seen, table), measured(totals)],
    )
    context.journal.record_gate(run_id, gate, wave=plan.wave)
    return LayerResult(layer=layer.name, gate=gate, control_totals=totals)


@dataclass
class _Seen:
    """An entity as it was read back."""

    entity: str
    counted: int
    shown: int
    missing: int
    duplicate: int
    tallies: tuple[Tally, ...]


def _read_back(context: PhaseContext, plan: PlanRecord, target: TargetConnector, entity: str, layer: Layer) -> _Seen:
    """Read all of an entity once: which loaded records are there, and what they add up to."""
    expected, ours, golden = _loaded(context, plan, entity)
    tallies = _tallies(context, plan, _due(context.project.spec, plan.wave, layer, entity), golden)
    counted = target.count(entity)
    held: Counter[str] = Counter()
    total = 0
    with shown(context.progress, f"read back {entity}", counted, "records") as progress:
        for record in target.read_all(entity):
            total += 1
            progress.advance(1)
            if record.migration_key is None:
                continue
            held[record.migration_key] += 1
            if record.migration_key in ours:
                for tally in tallies:
                    tally.add(record.values)
    return _Seen(
        entity=entity,
        counted=counted,
        shown=total,
        missing=sum(key not in held for key in expected),
        duplicate=sum(times > 1 for times in held.values()),
        tallies=tallies,
    )


def _tallies(
    context: PhaseContext, plan: PlanRecord, totals: Sequence[ControlTotal], golden: list[str]
) -> tuple[Tally, ...]:
    """The figures to reach, those that follow from the source rows worked out for these golden records."""
    if all(total.expected != AUTO for total in totals):
        return tuple(map(Tally, totals))
    from rollout.phases.verify_totals import tallies_of  # noqa: PLC0415 - brings DuckDB, which other loads do not need

    return tallies_of(context, totals, plan.target, golden, wave=plan.wave)


def _loaded(context: PhaseContext, plan: PlanRecord, entity: str) -> tuple[set[str], set[str], list[str]]:
    """Migration keys that this wave loaded; those of every record that any load brought in, and their golden keys."""
    expected: set[str] = set()
    ours: set[str] = set()
    golden: list[str] = []
    with context.journal.transaction() as connection:
        for batch in outcome_rows(connection, context.journal.project_id, plan, entity):
            for golden_key, key, target_id, state in batch:
                if state in _LOADED:
                    expected.add(key)
                if target_id is not None and state != _GONE:
                    ours.add(key)
                    golden += [golden_key] if golden_key is not None else []
    return expected, ours, golden


_LOADED = {bucket.value for bucket in LOADED}
_GONE = "gone"
"""State of a record whose source row is no more: the legacy system's figure no longer holds it."""


def _due(spec: ProjectSpec, wave: str, layer: Layer, entity: str) -> tuple[ControlTotal, ...]:
    return due_totals(spec, wave, layer=layer.name, entities=[entity])


def _measurements(seen: Sequence[_Seen], table: Sequence[Accounting]) -> list[Measurement]:
    loaded = {line.entity: line.loaded for line in table}
    evidence = sum(loaded[entity.entity] for entity in seen) if all(loaded[entity.entity] for entity in seen) else 0

    def figure(metric: str, values: dict[str, int]) -> Measurement:
        told = ", ".join(f"{name} {value}" for name, value in values.items() if value)
        return Measurement(metric=metric, value=float(sum(values.values())), evidence=evidence, detail=told)

    return [
        figure("count_difference", {entity.entity: abs(entity.counted - entity.shown) for entity in seen}),
        figure("reconcile_missing", {entity.entity: entity.missing for entity in seen}),
        figure("reconcile_duplicate", {entity.entity: entity.duplicate for entity in seen}),
    ]
