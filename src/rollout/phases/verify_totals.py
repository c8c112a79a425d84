"""The legacy system's figures worked out from the source rows themselves (`expected: auto`).

Each row's amount is read from its own cells, past the clean and golden stages; then the rows are put where the stages
say that they went. So an amount that got lost on the way, or a row that is in no place, shows as a difference.
"""

# ruff: noqa: S608 - identifiers are quoted, values are parameters

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.phases.context import PhaseContext
from rollout.phases.golden import golden_paths
from rollout.phases.readback import mapped_chunk
from rollout.phases.repairs import Repairs
from rollout.phases.stages import engine
from rollout.project.spec import ControlTotal
from rollout.verify.control_totals import AUTO, LESS, MadeOf, Tally, plain

_NUMBER = "DECIMAL(38, 8)"
_CHUNK_ROWS = 50_000


def tallies_of(
    context: PhaseContext, totals: Sequence[ControlTotal], target_name: str, loaded: Sequence[str], *, wave: str
) -> tuple[Tally, ...]:
    """Control totals of one entity ready to be added up; those that are `auto` with what they must come to.

    Args:
        context: The phase's context.
        totals: Of one entity.
        target_name: Whose repairs count.
        loaded: Golden keys of the records that count: loaded, and their source still there.
        wave: The wave that was loaded.
    """
    auto = [total for total in totals if total.expected == AUTO]
    made_of: dict[str, MadeOf] = {}
    if auto:
        with engine(context.project.workspace.stages) as connection:
            figures = _Figures(context, auto[0].entity, target_name, connection)
            figures.read(auto, loaded)
            made_of = {total.name: figures.made_of(total, wave) for total in auto}
    return tuple(Tally(total, made_of.get(total.name)) for total in totals)


@dataclass(frozen=True)
class _Figures:
    """One entity's source rows, where they went, and what they amount to."""

    context: PhaseContext
    entity: str
    target_name: str
    connection: duckdb.DuckDBPyConnection

    def read(self, totals: Sequence[ControlTotal], loaded: Sequence[str]) -> None:
        """Fill the tables `raw`, `golden`, `places` and `loaded`."""
        needed = sorted({name for total in totals for name in (total.field, *total.where) if name})
        columns = ", ".join(f"{_quoted(name)} VARCHAR" for name in needed)
        comma = ", " if columns else ""
        self.connection.execute(f"CREATE TEMP TABLE raw (source_key VARCHAR{comma}{columns})")
        self.connection.execute("CREATE TEMP TABLE unreadable (source_key VARCHAR)")
        made = self._made
        sources = {source.name: source for source in self.context.project.spec.entities[self.entity].sources}
        for file in made.get("raw_files", ()):
            for batch in pq.ParquetFile(self._stage(file)).iter_batches(batch_size=_CHUNK_ROWS):
                table = pa.Table.from_batches([batch])
                if table.num_rows:
                    source = sources[str(table["_source"][0])]
                    clean = mapped_chunk(self.context.project, self.entity, source, table, needed)
                    self._keep("raw", clean.select(["_source_key", *needed]))
                    lost = table.filter(
                        pc.invert(pc.is_in(table["_source_key"], clean["_source_key"].combine_chunks()))
                    )
                    self._keep("unreadable", lost.select(["_source_key"]))
        golden = Repairs(self.context, self.target_name).golden_path(
            self.entity, golden_paths(self.context)[self.entity]
        )
        self.connection.execute("CREATE TEMP TABLE golden AS SELECT * FROM read_parquet($1)", [str(golden)])
        self._places(made)
        self._keep_as("loaded", pa.table({"golden_key": pa.array(loaded, pa.string())}))

    def made_of(self, total: ControlTotal, wave: str) -> MadeOf:
        """How what the target should show follows from the source rows."""
        counts, values = _condition(total), [list(wanted) for wanted in total.where.values()]
        amount = _amount(total)
        rows = self.connection.execute(
            "SELECT CASE WHEN p.place = 'golden' AND l.golden_key IS NOT NULL THEN 'loaded' "
            f"WHEN p.wave <> ${len(values) + 1} THEN 'other_waves' WHEN p.place = 'golden' THEN 'not_loaded' "
            f"ELSE coalesce(p.place, 'nowhere') END, sum({amount}), count(*) "
            "FROM raw r LEFT JOIN places p USING (source_key) LEFT JOIN loaded l ON l.golden_key = r.source_key "
            f"WHERE {counts} GROUP BY 1",
            [*values, wave],
        ).fetchall()
        sums = {str(place): Decimal(found or 0) for place, found, _ in rows}
        # A golden record that no source row stands for is in no sum, and so shows as a difference.
        [[held]] = self.connection.execute(
            f"SELECT sum({amount}) FROM golden r JOIN loaded l ON l.golden_key = r._golden_key "
            "WHERE r._golden_key IN (SELECT source_key FROM raw UNION ALL SELECT source_key FROM unreadable) "
            f"AND {counts}",
            values,
        ).fetchall()
        # People may have put right what cannot be read: such a row is in a golden record.
        [[unreadable]] = self.connection.execute(
            "SELECT count(*) FROM unreadable u WHERE u.source_key NOT IN "
            "(SELECT source_key FROM places WHERE place IN ('golden', 'merged'))"
        ).fetchall()
        return MadeOf(
            source=plain(sum(sums.values(), Decimal(0))),
            changed=plain(Decimal(held or 0) - sums.get("loaded", Decimal(0))),
            rows={str(place): int(count) for place, _, count in rows},
            unreadable=int(unreadable),
            **{name: plain(sums.get(name, Decimal(0))) for name in LESS},
        )

    def _places(self, made: Mapping[str, Any]) -> None:
        """Where each source row went; what no stage speaks of is in none."""
        self.connection.execute(
            "CREATE TEMP TABLE places AS SELECT _golden_key AS source_key, 'golden' AS place, _wave AS wave FROM golden"
        )
        for kind, column, place in (
            ("merges_file", "source_key", "merged"),
            ("quarantine_file", "_source_key", "quarantined"),
            ("skipped_file", "_source_key", "skipped"),
        ):
            if file := made.get(kind):
                self.connection.execute(
                    f"INSERT INTO places SELECT DISTINCT {column}, '{place}', NULL FROM read_parquet($1)",
                    [str(self._stage(file))],
                )

    @property
    def _made(self) -> Mapping[str, Any]:
        run = self.context.journal.latest_run("cleanse")
        found: Mapping[str, Any] = run.summary["entities"].get(self.entity, {}) if run else {}
        return found

    def _stage(self, file: str) -> Path:
        return self.context.project.workspace.stages / file

    def _keep(self, name: str, table: pa.Table) -> None:
        self.connection.register("arrow", table)
        self.connection.execute(f"INSERT INTO {name} SELECT * FROM arrow")
        self.connection.unregister("arrow")

    def _keep_as(self, name: str, table: pa.Table) -> None:
        self.connection.register("arrow", table)
        self.connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM arrow")
        self.connection.unregister("arrow")


def _condition(total: ControlTotal) -> str:
    """Which rows `r` count; its parameters are the wanted values by field."""
    parts = [f"list_contains(${at}, r.{_quoted(name)})" for at, name in enumerate(total.where, start=1)]
    return " AND ".join(parts) or "true"


def _amount(total: ControlTotal) -> str:
    return "1" if total.field is None else f"TRY_CAST(r.{_quoted(total.field)} AS {_NUMBER})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
