"""Rows of the quarantine once more through mapping, rules and references, with what people put right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from rollout.cleanse.chunk import cleanse_chunk
from rollout.cleanse.rules import compile_mapping, compile_rules
from rollout.cleanse.words import RowWord, Words
from rollout.mapping.spec import SourceSpec
from rollout.match.parquet import scan
from rollout.phases.cleanse import transform_context
from rollout.phases.cleansed_rows import LatestCleansing
from rollout.phases.cleansing import parent_query
from rollout.phases.raw import RawStage
from rollout.phases.references import why_held


@dataclass(frozen=True)
class StillWrong:
    """A problem that a row has after all repairs."""

    field: str | None
    reason_code: str


class Recheck:
    """Judges repaired rows of one entity as cleansing will.

    Args:
        connection: DuckDB.
        latest: The cleansing whose rows they are.
        entity: The entity.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, latest: LatestCleansing, entity: str) -> None:
        self.connection, self.latest, self.entity = connection, latest, entity
        self.spec = latest.spec.entities[entity]

    @cached_property
    def raws(self) -> Mapping[str, RawStage]:
        """Its raw stages."""
        return self.latest.raws(self.entity)

    def mapped_fields(self, source_key: str) -> frozenset[str]:
        """The fields that are mapped from the row's source: only those can be repaired."""
        source = source_key.partition(":")[0]
        mapping = self.latest.context.project.mappings.get((self.entity, source))
        return frozenset(rule.target for rule in mapping.fields) if mapping else frozenset()

    def judge(self, words: Sequence[RowWord]) -> dict[str, list[StillWrong]]:
        """What is still wrong with each row, by source key; nothing: it will leave the quarantine."""
        found: dict[str, list[StillWrong]] = {word.source_key: [] for word in words}
        for source in self.spec.sources:
            ours = [word for word in words if word.source_key.startswith(f"{source.name}:")]
            if not ours or source.name not in self.raws:
                continue
            table = self._rows(self.raws[source.name], [word.source_key for word in ours])
            for row in self._problems(source, table, Words(ours)):
                found[row["_source_key"]].append(StillWrong(row["field"], row["reason_code"]))
        return found

    def _problems(self, source: SourceSpec, table: Any, words: Words) -> list[dict[str, Any]]:
        project = self.latest.context.project
        context = transform_context(project, self.entity, source)
        plans = compile_mapping(project.mappings[self.entity, source.name], self.spec.fields, context)
        absent = {column for plan in plans if plan.rule for column in plan.rule.columns} - set(table.column_names)
        for name in sorted(absent):
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        rules = compile_rules(self.spec.rules, self.spec.fields, context, where=self.entity)
        done = cleanse_chunk(table, plans, context, rules=rules, words=words, shared=source.repeats == "same")
        mapped = pa.concat_tables([done.clean, done.rejected])
        dropping = {plan.name for plan in plans if plan.rule and plan.rule.on_error != "reject"}
        return [*done.problems.to_pylist(), *self._references(mapped, dropping)]

    def _references(self, mapped: Any, dropping: set[str]) -> list[dict[str, Any]]:
        """References that lead nowhere and hold their row back."""
        deferred = self.latest.spec.deferred(self.entity)
        found: list[dict[str, Any]] = []
        for field, parent in self.spec.references.items():
            if field in deferred or (field in dropping and not self.spec.fields[field].required):
                continue
            query = parent_query(self.latest.root, self.latest.done[parent], self.latest.raws(parent))
            self.connection.register("repaired", mapped.select(["_source_key", field]).rename_columns(["row", "key"]))
            rows = self.connection.execute(
                f"SELECT r.row, CASE {why_held('p')} END FROM repaired AS r"  # noqa: S608
                f" LEFT JOIN ({query}) AS p ON p.key = r.key"
                " WHERE r.key IS NOT NULL AND coalesce(p.held, 1) > 0"
            ).fetchall()
            self.connection.unregister("repaired")
            found += [{"_source_key": key, "field": field, "reason_code": code} for key, code in rows]
        return found

    def _rows(self, raw: RawStage, keys: Sequence[str]) -> Any:
        self.connection.register("asked_for", pa.table({"_source_key": pa.array(keys, pa.string())}))
        try:
            return self.connection.query(
                f"SELECT r.* EXCLUDE (file_row_number) FROM {scan(self.latest.root / raw.file)} AS r"  # noqa: S608
                " SEMI JOIN asked_for USING (_source_key)"
            ).to_arrow_table()
        finally:
            self.connection.unregister("asked_for")
