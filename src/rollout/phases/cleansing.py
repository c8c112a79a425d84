"""One entity through cleansing: raw stages → clean, quarantine, golden, merge map; each row is in exactly one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from rollout.cleanse.chunk import ROW_COLUMNS
from rollout.cleanse.reasons import REASONS
from rollout.cleanse.rules import FieldPlan
from rollout.cleanse.words import RowWord
from rollout.errors import ConfigError, Fatal
from rollout.mapping.spec import MappingSpec, OnError
from rollout.mapping.transforms_base import TransformContext
from rollout.match.model import MemoryModels, ModelStore
from rollout.match.parquet import scan, write_parquet
from rollout.match.spec import MatchSpec
from rollout.model.finding import Finding, Level
from rollout.phases.cleansed import EntityCleansing, FieldVolume
from rollout.phases.context import Progress
from rollout.phases.map_rows import RowMapper
from rollout.phases.matching import match_entity, model_digest
from rollout.phases.raw import RawStage, referable_rows
from rollout.phases.references import Resolver
from rollout.phases.stages import StageStore, StageWriter, digest, engine
from rollout.phases.waves import EntityWaves, count_rows, golden_with_waves, held_back_waves
from rollout.project.spec import EntitySpec

_STAGES = ("clean", "quarantine", "held", "skipped", "golden", "merges", "review", "waves")


@dataclass(frozen=True)
class EntityRules:
    """All that decides what an entity's rows become."""

    name: str
    spec: EntitySpec
    mappings: Mapping[str, MappingSpec]
    """By source name."""
    match: MatchSpec
    contexts: Mapping[str, TransformContext]
    """By source name: each may have a time zone of its own."""
    waves: EntityWaves
    digest: str
    chunk_rows: int
    words: tuple[RowWord, ...] = ()
    """What people said about rows that were held back."""
    pairs: tuple[tuple[str, str, str], ...] = ()
    """What people said about pairs of rows: source key, source key, `same` or `different`."""
    deferred: tuple[str, ...] = ()
    """Reference fields whose parents are cleansed later, or at the same time: see `rollout.phases.deferred`."""

    @property
    def references(self) -> dict[str, str]:
        """Reference fields that are resolved here, and the entity that each points to."""
        return {name: parent for name, parent in self.spec.references.items() if name not in self.deferred}


def cleanse_entity(
    store: StageStore,
    rules: EntityRules,
    raws: Mapping[str, RawStage],
    parents: Mapping[str, tuple[EntityCleansing, Mapping[str, RawStage]]],
    progress: Progress,
    *,
    models: ModelStore | None = None,
) -> EntityCleansing:
    """Cleanse and match an entity, or take the result from the workspace if nothing changed.

    Args:
        store: Where stages lie.
        rules: Fields, mappings, match keys.
        raws: The entity's raw stages by source name.
        parents: For each entity that references point to: its result and raw stages.
        progress: Shows rows.
        models: Has the trained match model, or gets it; None: it is trained for this once.

    Raises:
        ConfigError: A file lacks a column that the mapping reads, or the mapping cannot run.
    """
    parent_keys = {name: done.key for name, (done, _) in sorted(parents.items())}
    inputs = (rules.digest, [raws[source.name].key for source in rules.spec.sources], parent_keys)
    models = models or MemoryModels()
    key = digest(*inputs, model_digest(rules, models))
    description = store.path(rules.name, "cleanse", key, "json")
    known = store.load(description, EntityCleansing, files=tuple(f"{kind}_file" for kind in _STAGES))
    if known is not None:
        return known
    done = _Work(store, rules, raws, parents, key, progress=progress, models=models).run()
    if not done.accounted:
        raise Fatal(
            f"{rules.name}: {done.source} source rows became {done.golden} golden + {done.merged} merged + "
            f"{done.quarantined} quarantined + {done.skipped} skipped, and by wave {done.waves}",
            hint="this is a defect of the program; nothing was recorded",
        )
    store.save(description, done)
    # A model that was trained for it is one of its inputs from now on.
    store.save(store.path(rules.name, "cleanse", digest(*inputs, model_digest(rules, models)), "json"), done)
    return done


class _Work:
    """The steps of one entity's cleansing, which share paths and counters."""

    def __init__(
        self,
        store: StageStore,
        rules: EntityRules,
        raws: Mapping[str, RawStage],
        parents: Mapping[str, tuple[EntityCleansing, Mapping[str, RawStage]]],
        key: str,
        *,
        progress: Progress,
        models: ModelStore,
    ) -> None:
        self.store, self.rules, self.raws, self.parents = store, rules, raws, parents
        self.key, self.progress, self.models = key, progress, models
        self.paths = {kind: store.path(rules.name, kind, key) for kind in _STAGES}
        self.mapper = RowMapper(store, rules, raws, key, self.paths["clean"])
        self.golden_file, self.merges_file, self.waves_file = (
            store.relative(self.paths[kind]) for kind in ("golden", "merges", "waves")
        )

    def run(self) -> EntityCleansing:
        for source in self.rules.spec.sources:
            _check_columns(self.rules.mappings[source.name], self.raws[source.name])
        spec = self.rules.spec
        try:
            with engine(self.store.root) as connection:
                with self.store.writer(self.paths["quarantine"]) as quarantine:
                    self.mapper.map(connection, quarantine, self.paths["skipped"], self.progress)
                    if self.rules.references:
                        self._resolve(connection, quarantine)
                self.mapper.write_held(connection, self.paths["held"])
                matched = match_entity(connection, self.rules, self.paths, self.models, self._complete)
                self._place(connection)
                held, problems = _count_problems(connection, self.paths["quarantine"])
                waves = count_rows(connection, self.store.root, self, list(self.raws.values()), self.rules.waves)
        finally:
            self.mapper.discard()
        raws = [self.raws[source.name] for source in spec.sources]
        return EntityCleansing(
            entity=self.rules.name,
            key=self.key,
            source=sum(raw.source_rows for raw in raws),
            clean=_rows(self.paths["clean"]),
            golden=matched.golden,
            merged=matched.merged,
            quarantined=held,
            skipped=_rows(self.paths["skipped"]),
            clusters=matched.clusters,
            review=matched.review,
            waves=waves,
            problems=dict(sorted(sum((Counter({code: rows}) for _, code, rows, _ in problems), Counter()).items())),
            volumes={name: FieldVolume(**vars(volume)) for name, volume in self.mapper.volumes.items()},
            repaired=sum(held.repaired for held in self.mapper.held.values()),
            left_out=sum(held.left_out for held in self.mapper.held.values()),
            raw_files=tuple(raw.file for raw in raws),
            findings=(
                *(finding for raw in raws for finding in raw.findings),
                *self.mapper.findings(),
                *self._findings(problems),
                *matched.findings,
            ),
            clean_file=self.store.relative(self.paths["clean"]),
            quarantine_file=self.store.relative(self.paths["quarantine"]),
            held_file=self.store.relative(self.paths["held"]),
            skipped_file=self.store.relative(self.paths["skipped"]),
            golden_file=self.golden_file,
            merges_file=self.merges_file,
            review_file=self.store.relative(self.paths["review"]),
            waves_file=self.waves_file,
        )

    def _resolve(self, connection: duckdb.DuckDBPyConnection, quarantine: StageWriter) -> None:
        """Parents' row keys become golden keys; rows whose parent is not there join the quarantine."""
        parents = {
            field: parent_query(self.store.root, *self.parents[parent])
            for field, parent in self.rules.references.items()
        }
        dropping = {
            field: [source for source, plans in self.mapper.plans.items() if _drops(plans, field)] for field in parents
        }
        resolver = Resolver(connection, parents, dropping)
        plain = [name for name in self.rules.spec.fields if name not in parents]
        resolver.write_resolved(
            self.mapper.mapped, self.paths["clean"], [*plain, *ROW_COLUMNS, "_priority", "_repeats"]
        )
        for field in parents:
            for path in (self.mapper.mapped, self.mapper.rejected):
                quarantine.write(resolver.held_back(path, field))
            self.mapper.add_remarks(
                {(field, code, "dropped"): remark for code, remark in resolver.dropped(self.mapper.mapped, field)}
            )

    def _complete(self, golden: str) -> str:
        """SQL of the golden records with the wave of each."""
        references = self.rules.references
        parents = {field: self.parents[parent][0] for field, parent in references.items()}
        return golden_with_waves(golden, self.rules.waves, self.store.root, parents)

    def _place(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The waves of the rows that were held back."""
        references = self.rules.references
        query = held_back_waves(
            self.rules.waves,
            self.store.root,
            {field: self.parents[parent] for field, parent in references.items()},
            held=[self.paths["quarantine"], self.paths["skipped"]],
            readable=[self.paths["held"]],
        )
        write_parquet(connection, query, self.paths["waves"])

    def _findings(self, problems: list[tuple[str | None, str, int, str]]) -> Iterator[Finding]:
        held = [(field, code, "quarantined", rows, first) for field, code, rows, first in problems]
        noted = [(*what, remark.rows, remark.first) for what, remark in sorted(self.mapper.remarks.items())]
        for field, code, done, rows, first in (*held, *noted):
            yield Finding(
                id=f"cleanse.{code}",
                level=Level.INFO if done == "kept" else Level.WARNING,
                message=f"{REASONS[code].message} ({done}: {rows})",
                where=f"{self.rules.name}.{field}" if field else self.rules.name,
                hint=REASONS[code].hint,
                count=rows,
                detail={"done": done, "first": first},
            )


def _check_columns(mapping: MappingSpec, raw: RawStage) -> None:
    """Every file and sheet has the columns that the mapping reads; all that lack some are told at once."""
    lacking = raw.lacking(mapping)
    if lacking:
        known = ", ".join(raw.parts[0].columns[:40])
        raise ConfigError(
            "; ".join(f"{file} lacks {', '.join(columns)}" for file, columns in lacking.items()),
            where=f"source '{raw.source}' of {raw.entity}",
            hint=f"correct the mapping or the file; the first file's columns are: {known}",
        )


def parent_query(root: Path, parent: EntityCleansing, raws: Mapping[str, RawStage]) -> str:
    """SQL: row key of the parent → golden key.

    ``held``: 0 fine, 1 in quarantine, 2 several records have the key,
    3 somebody left it out. Where several have it, each is found by its source key (`source:row key`), too.
    """
    left_out = f"SELECT _source_key FROM {scan(root / parent.skipped_file)} WHERE reason_code LIKE '%left_out'"  # noqa: S608
    return (
        f"WITH member AS (SELECT _golden_key AS source_key, _golden_key AS golden_key"  # noqa: S608
        f" FROM {scan(root / parent.golden_file)}"
        f" UNION ALL SELECT source_key, golden_key FROM {scan(root / parent.merges_file)})"
        f", referable AS ({referable_rows(root, raws.values())})"
        # A record that several rows repeat is there as soon as one of them is.
        ", unit AS (SELECT key, unit, min(member.golden_key) AS golden, max(member.golden_key) AS other,"
        " bool_or(gone._source_key IS NOT NULL) AS is_gone"
        " FROM referable AS row LEFT JOIN member USING (source_key)"
        f" LEFT JOIN ({left_out}) AS gone ON gone._source_key = row.source_key GROUP BY key, unit)"
        ", parent AS (SELECT key, min(golden) AS golden,"
        " CASE WHEN count(DISTINCT coalesce(golden, '?' || unit)) > 1 OR bool_or(golden <> other) THEN 2"
        " WHEN min(unit.golden) IS NOT NULL THEN 0 WHEN bool_or(is_gone) THEN 3 ELSE 1 END AS held"
        " FROM unit GROUP BY key)"
        " SELECT key, golden, held FROM parent"
        " UNION ALL SELECT DISTINCT referable.source_key, member.golden_key, 0 FROM referable"
        " SEMI JOIN (SELECT key FROM parent WHERE held = 2) AS shared ON shared.key = referable.key"
        " JOIN member ON member.source_key = referable.source_key"
        " ANTI JOIN parent ON parent.key = referable.source_key"
    )


def _drops(plans: tuple[FieldPlan, ...], field: str) -> bool:
    """Whether a source's mapping says that a reference which leads nowhere is dropped."""
    return any(
        plan.name == field and plan.rule is not None and plan.rule.on_error is OnError.NULL and not plan.spec.required
        for plan in plans
    )


def _rows(path: Path) -> int:
    return int(pq.ParquetFile(path).metadata.num_rows)


def _count_problems(
    connection: duckdb.DuckDBPyConnection, path: Path
) -> tuple[int, list[tuple[str | None, str, int, str]]]:
    """Rows in quarantine, and the problems by field and code with the first row that has each."""
    held = connection.execute(f"SELECT count(DISTINCT _source_key) FROM {scan(path)}").fetchall()[0][0]  # noqa: S608
    problems = connection.execute(
        f"SELECT field, reason_code, count(*), min(_source_key) FROM {scan(path)} GROUP BY 1, 2 ORDER BY 1, 2"  # noqa: S608
    ).fetchall()
    return int(held), problems
