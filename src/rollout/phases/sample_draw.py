"""Which loaded records people are to check, and what their answers until now prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.journal.crypto import Sealer, canonical_json
from rollout.journal.handouts import handed_out
from rollout.journal.plans import PlanRecord
from rollout.journal.sample_checks import Check, Scope, newest
from rollout.model.entity import Values
from rollout.model.outcome import LOADED
from rollout.phases.context import PhaseContext, chosen_entities
from rollout.project.gates import criteria
from rollout.project.spec import ProjectSpec
from rollout.project.spec_data import PeopleSample
from rollout.verify.people import BOUND, PeopleResult, people_result
from rollout.verify.sample import draw, proving_size

KIND = "sample"
"""Of handouts."""
RIGHT, WRONG = "right", "wrong"


class DrawnRecord(NamedTuple):
    """A loaded record that people are to check."""

    migration_key: str
    golden_key: str
    target_id: str | None
    values: Values
    """All fields as they were loaded; references hold the parent's golden key."""

    def seen(self, sealer: Sealer) -> str:
        """A keyed digest of what was loaded: a check holds as long as it stays the same."""
        return sealer.digest(canonical_json([self.migration_key, self.target_id, dict(self.values)]))


@dataclass(frozen=True)
class Drawn:
    """The records of an entity that people are to check."""

    entity: str
    population: int
    records: tuple[DrawnRecord, ...]


def rule_of(spec: ProjectSpec) -> PeopleSample:
    """What the project says about people's sample."""
    return spec.verify.people or PeopleSample()


def limit_of(spec: ProjectSpec) -> float:
    """What a sample without a wrong record must prove: the gate may ask for more than the section."""
    asked = [item.threshold for item in criteria(spec, "verify", people=True) if item.metric == BOUND]
    return min([rule_of(spec).max_wrong_share, *(value for value in asked if 0 < value < 1)])


def sampled_entities(context: PhaseContext, entities: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The entities that people check, of those named; parents first. Raises ConfigError naming the known ones."""
    of_people = chosen_entities(context, rule_of(context.project.spec).entities)
    return tuple(name for name in chosen_entities(context, entities) if name in of_people)


def is_asked(context: PhaseContext) -> bool:
    """Whether people's sample is part of the verification: the project says so, or something was handed out."""
    if context.project.spec.verify.people is not None:
        return True
    with context.journal.transaction() as connection:
        return bool(handed_out(connection, context.journal.project_id, kind=KIND))


def drawn(context: PhaseContext, entity: str, crosswalk: pa.Table, golden: Path) -> Drawn:
    """Draw an entity's records: those with the smallest ``SHA256(seed:people‖migration key)``.

    Args:
        context: The phase's context.
        entity: Its name.
        crosswalk: `rollout.verify.reconcile.CROSSWALK`.
        golden: The golden stage, with what people put right.
    """
    spec = context.project.spec
    loaded = crosswalk.filter(pc.is_in(crosswalk["state"], pa.array([bucket.value for bucket in LOADED])))
    size = proving_size(loaded.num_rows, max_wrong_share=limit_of(spec), confidence=spec.verify.confidence)
    keys = draw(loaded["migration_key"].to_pylist(), size, seed=f"{spec.verify.seed}:people")
    by_key = {row["migration_key"]: row for row in rows_where(loaded, "migration_key", keys)}
    fields = spec.entities[entity].fields
    wanted = [by_key[key]["golden_key"] for key in keys]
    values = {row["_golden_key"]: {name: row[name] for name in fields} for row in stage_rows(golden, wanted)}
    return Drawn(
        entity,
        loaded.num_rows,
        tuple(
            DrawnRecord(key, row["golden_key"], row["target_id"], values.get(row["golden_key"], {}))
            for key in keys
            for row in [by_key[key]]
        ),
    )


def answers(context: PhaseContext, plan: PlanRecord, sample: Drawn) -> Mapping[str, Check]:
    """By migration key the newest answers about a sample's records, lapsed ones included."""
    scope = Scope(context.journal.project_id, plan.target, plan.wave)
    with context.journal.transaction() as connection:
        return newest(connection, scope, sample.entity, [record.migration_key for record in sample.records])


def standing(context: PhaseContext, plan: PlanRecord, sample: Drawn) -> PeopleResult:
    """What people's answers about a sample prove until now."""
    sealer, given = context.journal.ledger_sealer(), answers(context, plan, sample)
    lapsed, verdicts = 0, []
    for record in sample.records:
        if check := given.get(record.migration_key):
            if check.seen == record.seen(sealer):
                verdicts.append(check.verdict)
            else:
                lapsed += 1
    return people_result(
        sample.entity,
        sample.population,
        asked=len(sample.records),
        right=verdicts.count(RIGHT),
        wrong=verdicts.count(WRONG),
        lapsed=lapsed,
        confidence=context.project.spec.verify.confidence,
    )


def rows_where(table: pa.Table, column: str, values: list[str]) -> list[dict[str, Any]]:
    """The rows of a table whose text column holds one of the values."""
    wanted = table.filter(pc.is_in(table[column], pa.array(values, pa.string())))
    found: list[dict[str, Any]] = wanted.to_pylist()
    return found


def stage_rows(path: Path, keys: list[str], column: str = "_golden_key") -> list[dict[str, Any]]:
    """The rows of a stage whose text column holds one of the keys."""
    wanted = pc.field(column).isin(pa.array(keys, pa.string()))
    found: list[dict[str, Any]] = pq.read_table(path, filters=wanted).to_pylist()
    return found
