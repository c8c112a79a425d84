"""How many of an entity's records are there more than once: exactly by the project's keys, and likely.

Likely ones are found by the entity's matching model once it is trained, else by what spellings of a company's name have
in common, or by a person's name with a phone or an address. A large entity is estimated from a sample: of the pairs in
it, the sample holds the square of its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from rollout.assess.entity_model import Duplicates, KeyDuplicates
from rollout.assess.rules import literal, quoted
from rollout.mapping.transforms_base import TransformContext
from rollout.match.components import components
from rollout.match.exact import key_texts
from rollout.match.layout import Layout
from rollout.match.model import ModelStore, settings_digest
from rollout.match.parquet import open_parquet
from rollout.match.spec import MatchKey, MatchModel, MatchSpec
from rollout.match.weigh import weigh_pairs
from rollout.model.entity import FieldType
from rollout.phases.assess_mapped import TELLING, MappedEntity, compared_fields
from rollout.project.spec import EntitySpec

LIKELY_ROWS = 100_000
"""Records among which likely duplicates are looked for; of more a sample is drawn."""
_SPREAD = 4_294_967_296


@dataclass(frozen=True)
class Edges:
    """Pairs of rows, by their number in the file."""

    row: Any
    hub: Any

    @staticmethod
    def none() -> Edges:
        """No pair."""
        return Edges(np.array([], np.int64), np.array([], np.int64))

    def __add__(self, other: Edges) -> Edges:
        return Edges(np.concatenate([self.row, other.row]), np.concatenate([self.hub, other.hub]))

    @property
    def merged(self) -> int:
        """Rows that go when each group becomes one."""
        rows, labels = self.labels()
        return len(rows) - len(np.unique(labels))

    def labels(self) -> tuple[Any, Any]:
        """The rows that are in a pair, and the group of each: its first row."""
        rows, ends = np.unique(np.concatenate([self.row, self.hub]), return_inverse=True)
        return rows, rows[components(ends[: len(self.row)], ends[len(self.row) :], len(rows))]


class DuplicateFinder:
    """Looks through what the mappings make of one entity.

    Args:
        connection: Reads the file.
        mapped: The entity's rows.
        spec: The entity.
        match: How its records are recognised.
        models: Has the matching model if it is trained.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        mapped: MappedEntity,
        spec: EntitySpec,
        match: MatchSpec,
        models: ModelStore,
    ) -> None:
        self.connection, self.mapped, self.spec, self.match, self.models = connection, mapped, spec, match, models
        self.file = f"read_parquet({literal(str(mapped.path))}, file_row_number = true)"
        self.context: TransformContext = next(iter(mapped.contexts.values()))
        self.rows = int(self._fetch(f"SELECT count(*) FROM {self.file}")[0][0])  # noqa: S608 - a file of our own
        self.repeated = self._repeated() if mapped.repeats else Edges.none()

    def find(self) -> tuple[Duplicates, Edges]:
        """The figures, and the pairs that are exactly the same record."""
        exact, by_key = self.repeated, []
        for key in self.match.keys:
            found = self._by_key(key)
            records = (self.repeated + found).merged - self.repeated.merged
            by_key.append(KeyDuplicates(name=key.name, records=records))
            exact += found
        records = self.rows - self.repeated.merged
        likely, method, fields, sampled = self._likely(exact)
        return (
            Duplicates(
                records=records,
                exact=exact.merged - self.repeated.merged,
                keys=tuple(by_key),
                likely=None if likely is None else min(likely, records - exact.merged + self.repeated.merged),
                method=method,
                fields=fields,
                sampled=sampled,
            ),
            exact,
        )

    def _likely(self, exact: Edges) -> tuple[int | None, Literal["model", "name", "none"], tuple[str, ...], int | None]:
        """Rows that are likely the same as another beyond the exact ones, how they were found, and among how many."""
        share = min(LIKELY_ROWS / self.rows, 1.0) if self.rows else 1.0
        looked_at = None if share == 1.0 else round(self.rows * share)
        keys = name_keys(self.spec)
        model = self.match.model
        if model is not None and self.models.load(settings_digest(Layout(model, self.mapped.name))) is not None:
            found = self._by_model(model, share)
            return round(_beyond(exact, found) / share**2), "model", tuple(model.comparisons), looked_at
        if not keys:
            return None, "none", (), None
        found = Edges.none()
        for key in keys:
            found += self._agreeing(self._table(key.fields, _drawn(share)), key)
        fields = tuple(dict.fromkeys(field for key in keys for field in key.fields))
        return round(_beyond(exact, found) / share**2), "name", fields, looked_at

    def _by_model(self, model: MatchModel, share: float) -> Edges:
        """The pairs that the model would merge or have reviewed."""
        fields = {name: name for name in compared_fields(self.match)}
        table = self._table(tuple(fields), _drawn(share))
        sample = self.mapped.path.with_name(f"{self.mapped.name}.sample.parquet")
        with open_parquet(sample, table.schema) as writer:
            writer.write_table(table)
        rows = table["row"].to_numpy()
        pairs = weigh_pairs(
            self.connection, sample, fields=fields, model=model, store=self.models, where=self.mapped.name
        ).table
        return Edges(rows[pairs["left"].to_numpy()], rows[pairs["right"].to_numpy()])

    def _by_key(self, key: MatchKey) -> Edges:
        """Rows that agree on an exact key; only those that share the parts compared as they are get a closer look."""
        plain = [name for name in key.fields if name not in key.by]
        where = ""
        if plain:
            parts = ", ".join(quoted(name) for name in plain)
            filled = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in plain)
            where = (
                f"WHERE {filled} AND hash({parts}) IN "  # noqa: S608 - names quoted
                f"(SELECT hash({parts}) FROM {self.file} WHERE {filled} GROUP BY 1 HAVING count(*) > 1)"
            )
        return self._agreeing(self._table(key.fields, where), key)

    def _table(self, fields: Sequence[str], where: str) -> Any:
        wanted = ", ".join(quoted(name) for name in dict.fromkeys(fields))
        sql = f"SELECT file_row_number AS row, {wanted} FROM {self.file} {where} ORDER BY row"  # noqa: S608 - names quoted
        return self.connection.query(sql).to_arrow_table().combine_chunks()

    def _agreeing(self, table: Any, key: MatchKey) -> Edges:
        """The rows of a table that agree on a key, each with the first of them."""
        if table.num_rows == 0:
            return Edges.none()
        texts = key_texts(table, key, {name: name for name in key.fields}, self.context)
        filled = np.flatnonzero(pa.compute.is_valid(texts).to_numpy(zero_copy_only=False))
        rows = table["row"].to_numpy()[filled]
        codes, _ = pd.factorize(texts.take(pa.array(filled)).to_pandas())
        sizes = np.bincount(codes)
        first = np.full(len(sizes), np.iinfo(np.int64).max)
        np.minimum.at(first, codes, rows)
        shared = (sizes[codes] > 1) & (sizes[codes] <= self.match.max_cluster_rows)
        return Edges(rows[shared], first[codes[shared]])

    def _repeated(self) -> Edges:
        """Rows that are one record by declaration."""
        found = self.connection.query(
            f"SELECT file_row_number AS row, min(file_row_number) OVER (PARTITION BY _repeats) AS hub FROM {self.file} "  # noqa: S608
            "WHERE _repeats IS NOT NULL QUALIFY count(*) OVER (PARTITION BY _repeats) > 1"
        ).to_arrow_table()
        return Edges(found["row"].to_numpy(), found["hub"].to_numpy())

    def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


def name_keys(spec: EntitySpec) -> tuple[MatchKey, ...]:
    """What records agree on that are likely the same: a company's name, a person's name and phone or address."""
    title = spec.fields[spec.title_field]
    if title.type is not FieldType.TEXT:
        return ()
    if title.personal:
        telling = [name for name, field in spec.fields.items() if field.type in TELLING and field.personal]
        return tuple(MatchKey(name=name, fields=(spec.title_field, name)) for name in telling)
    if any(field.type is FieldType.USCC for field in spec.fields.values()):
        by = {spec.title_field: "company_match_key"}
        return (MatchKey(name=spec.title_field, fields=(spec.title_field,), by=by),)
    return ()


def _drawn(share: float) -> str:
    """SQL: a share of the rows, each drawn by itself: copies often stand side by side, and pairs must have a chance."""
    return f"WHERE hash(file_row_number) % {_SPREAD} < {round(_SPREAD * share)}" if share < 1 else ""


def _beyond(exact: Edges, likely: Edges) -> int:
    """Rows that go by the likely pairs once the exact ones are merged."""
    rows, labels = exact.labels()
    if len(rows) == 0:
        return likely.merged
    ends = []
    for end in (likely.row, likely.hub):
        at = np.minimum(np.searchsorted(rows, end), len(rows) - 1)
        ends.append(np.where(rows[at] == end, labels[at], end))
    return Edges(*ends).merged
