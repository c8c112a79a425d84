"""Records of the target that a model finds so like one of ours that a person must say whether they are the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rollout.journal.match_models import JournalModels
from rollout.journal.pair_decisions import in_target
from rollout.match.layout import Layout
from rollout.match.model import MemoryModels, ModelStore, TrainedModel, settings_digest
from rollout.match.parquet import open_parquet
from rollout.match.review import MODEL
from rollout.match.spec import MatchModel
from rollout.match.weigh import weigh_pairs
from rollout.model.entity import Values
from rollout.phases.context import PhaseContext
from rollout.phases.stages import digest, engine

TARGET = "target"
"""Reason of pairs of which one is a record of the target."""
_VALUE = "value."


class Likely(NamedTuple):
    """A record of ours, and one of the target that may be the same."""

    golden_key: str
    target_id: str
    weight: float
    probability: float
    why: str


class LikelyFinder:
    """Collects both sides, and weighs them with the model that matching trained.

    Args:
        context: The phase's context.
        entity: The entity.
        model: As its match section declares it.
    """

    def __init__(self, context: PhaseContext, entity: str, model: MatchModel) -> None:
        self._context, self._entity, self._model = context, entity, model
        self.fields = tuple(Layout(model, entity).placed)
        """Fields that the model compares, or brings rows together by."""
        self._stack = ExitStack()
        folder = self._stack.enter_context(TemporaryDirectory(dir=context.project.workspace.stages))
        self._path = Path(folder) / "sides.parquet"
        self._schema = pa.schema([(name, pa.string()) for name in ("_key", *self.fields)])
        self._writer: Any = self._stack.enter_context(open_parquet(self._path, self._schema))
        self._ours = self._rows = 0

    def close(self) -> None:
        """Remove what was collected."""
        self._stack.close()

    def add_ours(self, keys: Sequence[str], rows: Sequence[Values]) -> None:
        """Records of ours; all of them come before the target's."""
        self._add(keys, {name: pa.array([row.get(name) for row in rows], pa.string()) for name in self.fields})
        self._ours = self._rows

    def add_theirs(self, ids: Sequence[str], cleansed: Any) -> None:
        """Records of the target, with values as cleansing would have them."""
        self._add(ids, {name: cleansed[name] for name in self.fields})

    def find(self) -> list[Likely]:
        """The pairs across both sides from ``review_above`` on.

        Where matching had too little to learn from, and so kept no model, these rows are weighed by one of their own.
        """
        self._writer.close()
        if self._rows == self._ours:
            return []
        kept = JournalModels(self._context.journal, self._entity)
        trained = kept.load(settings_digest(Layout(self._model, self._entity)))
        store = MemoryModels() if trained is None else _Given(trained)
        with engine(self._context.project.workspace.stages) as connection:
            fields = {name: name for name in self.fields}
            found = weigh_pairs(
                connection, self._path, fields=fields, model=self._model, store=store, where=self._entity
            ).table
        left, right = found["left"].to_numpy(), found["right"].to_numpy()
        across = found.filter(pa.array((left < self._ours) & (right >= self._ours)))
        keys = pq.read_table(self._path, columns=["_key"])["_key"]
        columns = (
            keys.take(across["left"]),
            keys.take(across["right"]),
            *(across[name] for name in ("weight", "probability", "why")),
        )
        return [Likely(*line) for line in zip(*(column.to_pylist() for column in columns), strict=True)]

    def _add(self, keys: Sequence[str], columns: Mapping[str, Any]) -> None:
        self._writer.write_table(pa.table({"_key": pa.array(keys, pa.string()), **columns}).cast(self._schema))
        self._rows += len(keys)


class _Given(ModelStore):
    """One model, whatever is asked for: planning weighs as matching did, and trains nothing."""

    def __init__(self, model: TrainedModel) -> None:
        self._model = model

    def load(self, settings_digest: str) -> TrainedModel | None:  # noqa: ARG002
        """The model."""
        return self._model

    def save(self, settings_digest: str, model: TrainedModel) -> None:
        """Nothing is trained."""


def likely_path(context: PhaseContext, entity: str, target: str, wave: str) -> Path:
    """Where what the latest plan of a wave found likely lies."""
    return context.project.workspace.stages / entity / f"likely-{digest(target, wave)}.parquet"


def write_likely(
    path: Path, target: str, found: Sequence[Likely], held: Mapping[str, Values], fields: Collection[str]
) -> None:
    """Keep what was found for the review queue, with what the target holds; nothing found takes the file away."""
    if not found:
        path.unlink(missing_ok=True)
        return
    count = len(found)
    columns = {
        "left_key": [line.golden_key for line in found],
        "right_key": [in_target(target, line.target_id) for line in found],
        "rule": [MODEL] * count,
        "weight": np.array([line.weight for line in found]),
        "probability": np.array([line.probability for line in found]),
        "why": [line.why for line in found],
        "reasons": [TARGET] * count,
        **{
            f"{_VALUE}{name}": pa.array([held.get(line.target_id, {}).get(name) for line in found], pa.string())
            for name in fields
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    table = pa.table(columns)
    part = path.with_suffix(".tmp")
    with open_parquet(part, table.schema) as writer:
        writer.write_table(table)
    part.replace(path)


def read_likely(folder: Path) -> tuple[list[dict[str, Any]], dict[str, dict[str, str | None]]]:
    """The pairs that plans found likely, of all waves; and by the target's keys what it held."""
    pairs, held = [], {}
    for path in sorted(folder.glob("likely-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            values = {name.removeprefix(_VALUE): row.pop(name) for name in list(row) if name.startswith(_VALUE)}
            pairs.append(row)
            held[row["right_key"]] = values
    return pairs, held
