"""The first step of cleansing an entity: its rows through mapping and rules, with what people said about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.cleanse.chunk import CleansedChunk, Remark, Volume, empty_problems, problem_table
from rollout.cleanse.rules import FieldPlan, compile_mapping, compile_rules
from rollout.cleanse.stream import cleansed_chunks
from rollout.match.parquet import scan, write_parquet
from rollout.model.finding import Finding, Level
from rollout.phases.context import Progress, shown
from rollout.phases.raw import RawStage
from rollout.phases.stages import StageStore, StageWriter
from rollout.phases.worded import NOTHING_HOLDS, Holding, holding

if TYPE_CHECKING:
    from rollout.phases.cleansing import EntityRules


class RowMapper:
    """Maps the rows of an entity's sources, and counts what happened to them.

    Args:
        store: Where stages lie.
        rules: The entity's.
        raws: Its raw stages by source name.
        key: Of the stages that are written.
        clean: Where rows go that hold; ``mapped`` says so, too.
    """

    def __init__(
        self, store: StageStore, rules: EntityRules, raws: Mapping[str, RawStage], key: str, clean: Path
    ) -> None:
        self.store, self.rules, self.raws = store, rules, raws
        self.mapped = store.path(rules.name, "mapped", key) if rules.references else clean
        self.rejected = store.path(rules.name, "rejected", key)
        self.left_out = store.path(rules.name, "leftout", key)
        self._clean = clean
        self.plans: dict[str, tuple[FieldPlan, ...]] = {
            source.name: compile_mapping(rules.mappings[source.name], rules.spec.fields, rules.contexts[source.name])
            for source in rules.spec.sources
        }
        self.remarks: dict[tuple[str, str, str], Remark] = {}
        self.volumes: dict[str, Volume] = {}
        self.held = dict.fromkeys(self.raws, NOTHING_HOLDS)

    def map(
        self, connection: duckdb.DuckDBPyConnection, quarantine: StageWriter, skipped_path: Path, progress: Progress
    ) -> None:
        """Mapping and rules, a chunk at a time; results are written in the order of the rows."""
        total = sum(raw.rows for raw in self.raws.values())
        self.held = {
            name: holding(connection, self.store.root, raw, self.rules.words) for name, raw in self.raws.items()
        }
        with (
            self.store.writer(self.mapped) as clean,
            self.store.writer(self.rejected) as rejected,
            self.store.writer(self.left_out) as left_out,
            self.store.writer(skipped_path) as skipped,
            shown(progress, f"cleansing {self.rules.name}", total, "rows") as shown_progress,
        ):
            quarantine.write(empty_problems())
            skipped.write(skipped_rows(pa.array([], pa.string()), "row_blank"))
            for name, raw in self.raws.items():
                self._map_unreadable(raw, self.held[name], quarantine, skipped)
            for chunk in self._chunks():
                clean.write(chunk.clean)
                rejected.write(chunk.rejected)
                left_out.write(chunk.left_out)
                quarantine.write(chunk.problems)
                skipped.write(skipped_rows(chunk.blank, "row_blank"))
                skipped.write(skipped_rows(chunk.left_out["_source_key"], "left_out"))
                self._count(chunk)
                shown_progress.advance(
                    chunk.clean.num_rows + chunk.rejected.num_rows + chunk.left_out.num_rows + len(chunk.blank)
                )

    def write_held(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Write what could be read of the rows that did not become clean: fields (references hold row keys)."""
        parts = [f"SELECT * EXCLUDE (file_row_number) FROM {scan(found)}" for found in (self.rejected, self.left_out)]  # noqa: S608
        if self.mapped != self._clean:
            parts.append(
                f"SELECT m.* EXCLUDE (file_row_number) FROM {scan(self.mapped)} AS m"  # noqa: S608
                f" ANTI JOIN {scan(self._clean)} AS c ON c._source_key = m._source_key"
            )
        write_parquet(connection, " UNION ALL BY NAME ".join(parts), path)

    def discard(self) -> None:
        """Remove what only this run needed."""
        for path in {self.mapped, self.rejected, self.left_out} - {self._clean}:
            path.unlink(missing_ok=True)

    def add_remarks(self, remarks: Mapping[tuple[str, str, str], Remark]) -> None:
        """Count remarks, by field, code and what was done."""
        for what, remark in remarks.items():
            total = self.remarks.setdefault(what, Remark(0, remark.first))
            total.rows += remark.rows

    def findings(self) -> Iterator[Finding]:
        """What came of what people said."""
        lapsed = [key for held in self.held.values() for key in held.lapsed]
        if lapsed:
            yield Finding(
                id="cleanse.word_lapsed",
                level=Level.WARNING,
                message=f"{len(lapsed)} rows changed or went since somebody repaired them or left them out",
                where=self.rules.name,
                hint="what was said about them no longer counts; export the quarantine again if they wait there",
                count=len(lapsed),
                detail={"first": min(lapsed)},
            )

    def _chunks(self) -> Iterator[CleansedChunk]:
        for source in self.rules.spec.sources:
            raw, context = self.raws[source.name], self.rules.contexts[source.name]
            yield from cleansed_chunks(
                self.store.root / raw.file,
                self.plans[source.name],
                context,
                chunk_rows=self.rules.chunk_rows,
                rules=compile_rules(self.rules.spec.rules, self.rules.spec.fields, context, where=self.rules.name),
                words=self.held[source.name].words,
                priority=source.priority,
                blank_keys=raw.blank_keys > 0,
                shared=source.repeats == "same",
            )

    def _count(self, chunk: CleansedChunk) -> None:
        self.add_remarks(chunk.remarks)
        for name, volume in chunk.volumes.items():
            self.volumes.setdefault(name, Volume()).add(volume)

    def _map_unreadable(self, raw: RawStage, held: Holding, quarantine: StageWriter, skipped: StageWriter) -> None:
        gone = pa.array(sorted(held.unreadable), pa.string())
        for batch in pq.ParquetFile(self.store.root / raw.unreadable_file).iter_batches(self.rules.chunk_rows):
            table = pa.Table.from_batches([batch])
            left = pc.is_in(table["_source_key"], value_set=gone)
            skipped.write(skipped_rows(table.filter(left)["_source_key"], "left_out"))
            table = table.filter(pc.invert(left))
            codes = pa.repeat(pa.scalar("row_unreadable"), table.num_rows)
            rows = problem_table(table, None, table["raw"].combine_chunks(), codes)
            place = rows.column_names.index("message")
            quarantine.write(rows.set_column(place, "message", pc.coalesce(table["reason"], rows["message"])))


def skipped_rows(keys: Any, code: str) -> Any:
    """Rows of the skipped stage."""
    return pa.table({"_source_key": keys, "reason_code": pa.repeat(pa.scalar(code), len(keys))})
