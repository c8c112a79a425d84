"""Dormant records: found once every entity is cleansed, and made what a person decided they become.

A record that is left out takes its merged rows with it, and the records that cannot be without it; those that can lose
the reference. All of those rows are skipped, so that every row is still in exactly one place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from rollout.assess.dormancy import Trace, is_dormant, last_seen
from rollout.cleanse.reasons import REASONS
from rollout.errors import Fatal
from rollout.match.parquet import quoted, scan, write_parquet
from rollout.model.entity import FieldType
from rollout.model.finding import Finding, Level
from rollout.phases.cleansed import DormantRecords, EntityCleansing
from rollout.phases.cleansing import parent_query
from rollout.phases.raw import RawStage
from rollout.phases.references import golden_column
from rollout.phases.stages import StageStore, code_version, digest, engine
from rollout.phases.waves import text
from rollout.project.spec import ProjectSpec
from rollout.project.spec_data import Activity, DormantSpec

EVERY = "*"
CHOICES = ("keep", "frozen", "pool", "leave_out")
"""What may become of a dormant record: loaded as it is, loaded frozen, given to the pool, not loaded."""
_FILES = ("golden_file", "merges_file", "skipped_file", "waves_file")

Choices = Mapping[str, tuple[tuple[str, str], ...]]
"""By entity: golden key, or `*` for all others, and the choice."""
Raws = Mapping[str, Mapping[str, RawStage]]
"""By entity its raw stages by source name."""


def settle_dormant(
    store: StageStore,
    spec: ProjectSpec,
    done: Mapping[str, EntityCleansing],
    raws: Raws,
    decided: Choices,
    today: date,
    *,
    needed: Collection[tuple[str, str]] = (),
) -> dict[str, EntityCleansing]:
    """Find dormant records and carry out what people decided about them.

    Args:
        store: Where stages lie.
        spec: The project.
        done: By entity what cleansing made of it, parents first, all references resolved.
        raws: What the entities were made of.
        decided: What people said.
        today: In the project's time zone; a rule's own `as_of` goes before it.
        needed: References that a mapping requires: entity, field.
    """
    if not spec.dormant:
        return dict(done)
    settling = _Settling(store, spec, done, raws, decided, today, needed=needed)
    for name in done:
        settling.settle(name)
    for name in done:
        settling.relink(name)
    return settling.settled


class _Settling:
    """The entities one after the other; parents know which of their records are left out."""

    def __init__(
        self,
        store: StageStore,
        spec: ProjectSpec,
        done: Mapping[str, EntityCleansing],
        raws: Raws,
        decided: Choices,
        today: date,
        *,
        needed: Collection[tuple[str, str]],
    ) -> None:
        self.store, self.spec, self.done, self.raws, self.decided = store, spec, done, raws, decided
        self.as_of = {name: rule.as_of or today for name, rule in spec.dormant.items()}
        self.key = digest(
            code_version(),
            {name: [result.key, result.golden_file, result.clean_file] for name, result in done.items()},
            {name: rule.model_dump(mode="json") for name, rule in spec.dormant.items()},
            {name: decided.get(name, ()) for name in spec.dormant},
            self.as_of,
        )
        self.needed = needed
        self.settled: dict[str, EntityCleansing] = {}
        self.gone: dict[str, str] = {}
        """By entity SQL of the golden keys that are left out, `key`; only where there may be some."""

    def settle(self, name: str) -> None:
        """Decide about an entity whose parents are decided."""
        rule, lost = self.spec.dormant.get(name), self._lost(name, deferred=False)
        if rule is None and not lost:
            self.settled[name] = self.done[name]
            return
        known = self._known(name, "settled") or self._settle(name, rule, lost)
        self.settled[name] = known
        if known.skipped != self.done[name].skipped:
            self.gone[name] = (
                f"SELECT _golden_key AS key FROM {scan(self.store.root / self.done[name].golden_file)}"  # noqa: S608
                f" EXCEPT SELECT _golden_key FROM {scan(self.store.root / known.golden_file)}"
            )

    def relink(self, name: str) -> None:
        """Take away references to records of entities that come later, or of the same, which are left out."""
        lost = self._lost(name, deferred=True)
        if not lost:
            return
        known = self._known(name, "relinked")
        if known is None:
            result, path = self.settled[name], self.store.path(name, "relinked", self.key)
            with engine(self.store.root) as connection:
                connection.execute("CREATE TEMP TABLE left_out (key VARCHAR, reason_code VARCHAR)")
                connection.execute("CREATE TEMP TABLE chosen (key VARCHAR, choice VARCHAR)")
                loses = self._losing(connection, name, lost)
                write_parquet(connection, self._golden(name, None, lost, self.settled[name].golden_file), path)
            findings = (*result.findings, *(_dropped(name, field, rows) for field, rows in loses.items()))
            known = result.model_copy(update={"golden_file": self.store.relative(path), "findings": findings})
            self.store.save(self.store.path(name, "relinked", self.key, "json"), known)
        self.settled[name] = known

    def _lost(self, name: str, *, deferred: bool) -> dict[str, str]:
        """By reference field SQL of the parents that are left out."""
        later = self.spec.deferred(name)
        references = self.spec.entities[name].references
        return {
            field: self.gone[parent]
            for field, parent in references.items()
            if parent in self.gone and (field in later) is deferred
        }

    def _known(self, name: str, kind: str) -> EntityCleansing | None:
        description = self.store.path(name, kind, self.key, "json")
        known = self.store.load(description, EntityCleansing, files=_FILES)
        whole = known is None or known.dormant is None or (self.store.root / known.dormant.file).exists()
        return known if whole else None

    def _settle(self, name: str, rule: DormantSpec | None, lost: Mapping[str, str]) -> EntityCleansing:
        done = self.done[name]
        with engine(self.store.root) as connection:
            dormant = None if rule is None else self._find(connection, name, rule)
            chosen = "SELECT NULL::VARCHAR AS key, NULL::VARCHAR AS choice WHERE false"
            if dormant is not None:
                chosen = f"SELECT _golden_key AS key, choice FROM {scan(self.store.root / dormant.file)}"  # noqa: S608
            connection.execute(f"CREATE TEMP TABLE chosen AS {chosen}")
            connection.execute(f"CREATE TEMP TABLE left_out AS {self._left_out(name, lost)}")
            loses = self._losing(connection, name, lost)
            acts = dormant is not None and any(choice != "keep" for choice in dormant.choices)
            gone = connection.execute("SELECT count(*) FROM left_out").fetchall()[0][0]
            if not gone and not acts and not loses:
                findings = (*done.findings, *_undecided(name, rule, dormant))
                return self._saved(done.model_copy(update={"dormant": dormant, "findings": findings}))
            result = self._write(connection, name, rule, lost)
        if dormant is not None:
            dormant = dormant.model_copy(update={"left_out_rows": result.skipped - done.skipped})
        told = (*_undecided(name, rule, dormant), *(_dropped(name, field, rows) for field, rows in loses.items()))
        result = result.model_copy(update={"dormant": dormant, "findings": (*result.findings, *told)})
        if not result.accounted:
            raise Fatal(f"{name}: rows were lost among dormant records", hint="this is a defect of the program")
        return self._saved(result)

    def _saved(self, result: EntityCleansing) -> EntityCleansing:
        self.store.save(self.store.path(result.entity, "settled", self.key, "json"), result)
        return result

    def _find(self, connection: duckdb.DuckDBPyConnection, name: str, rule: DormantSpec) -> DormantRecords:
        """Write the dormant records, each with what a person chose for it."""
        golden, as_of = scan(self.store.root / self.done[name].golden_file), self.as_of[name]
        seen = last_seen(f"SELECT _golden_key AS record FROM {golden}", self._traces(name, rule), until=as_of)  # noqa: S608
        choices = dict(self.decided.get(name, ()))
        others = text(choices[EVERY]) if EVERY in choices else "NULL::VARCHAR"
        path = self.store.path(name, "dormant", self.key)
        query = (
            "SELECT s.record AS _golden_key, s.last_on, s.last_kind,"  # noqa: S608
            f" CASE WHEN c.key IS NULL THEN {others} ELSE c.choice END AS choice FROM ({seen}) AS s"
            f" LEFT JOIN ({self._chosen(name, choices)}) AS c ON c.key = s.record"
            f" WHERE {is_dormant(rule.after_years, as_of)}"
            " ORDER BY s.last_on, s.record"
        )
        write_parquet(connection, query, path)
        counted = dict(
            connection.execute(f"SELECT choice, count(*) FROM {scan(path)} GROUP BY 1 ORDER BY 1").fetchall()  # noqa: S608
        )
        undecided = counted.pop(None, 0)
        return DormantRecords(
            as_of=as_of,
            found=undecided + sum(counted.values()),
            undecided=undecided,
            choices=counted,
            file=self.store.relative(path),
        )

    def _chosen(self, name: str, choices: Mapping[str, str]) -> str:
        """SQL of the choices that name a record: `key`, `choice`.

        A record that was merged since, or that goes by another of its rows now, takes what was chosen for it along;
        where that differs between the rows of one record, and none was chosen for itself, it is undecided.
        """
        told = ", ".join(f"({text(key)}, {text(choice)})" for key, choice in choices.items() if key != EVERY)
        if not told:
            return "SELECT NULL::VARCHAR AS key, NULL::VARCHAR AS choice WHERE false"
        merges = scan(self.store.root / self.done[name].merges_file)
        return (
            "SELECT coalesce(m.golden_key, d.key) AS key, coalesce(min(d.choice) FILTER (m.golden_key IS NULL),"  # noqa: S608
            " CASE WHEN count(DISTINCT d.choice) = 1 THEN min(d.choice) END) AS choice"
            f" FROM (VALUES {told}) AS d(key, choice) LEFT JOIN {merges} AS m ON m.source_key = d.key GROUP BY 1"
        )

    def _traces(self, name: str, rule: DormantSpec) -> list[Trace]:
        """Signs of life: of all rows that count, merged ones and such as wait in quarantine, too."""
        own = self.done[name]
        clean, merges = (scan(self.store.root / file) for file in (own.clean_file, own.merges_file))
        traces = [
            Trace(
                date_field,
                f"SELECT coalesce(m.golden_key, c._source_key) AS record, {self._day(name, date_field, 'c')} AS moment"  # noqa: S608
                f" FROM {clean} AS c LEFT JOIN {merges} AS m ON m.source_key = c._source_key",
            )
            for date_field in rule.dates
        ]
        return traces + [Trace(activity.entity, self._done_for(name, activity)) for activity in rule.activity]

    def _done_for(self, name: str, activity: Activity) -> str:
        """SQL of what happened with records: `record`, `moment`."""
        other, root = self.done[activity.entity], self.store.root
        parents = parent_query(root, self.done[name], self.raws[name])
        day, resolved = self._day(activity.entity, activity.date, "a"), golden_column(activity.reference)
        is_resolved = resolved in pq.read_schema(root / other.clean_file).names

        def by_row_key(file: str) -> str:
            return (
                f"SELECT p.golden AS record, {day} AS moment FROM {scan(root / file)} AS a"  # noqa: S608
                f" JOIN ({parents}) AS p ON p.key = a.{quoted(activity.reference)}"
            )

        clean = f"SELECT a.{quoted(resolved)} AS record, {day} AS moment FROM {scan(root / other.clean_file)} AS a"  # noqa: S608
        return f"{clean if is_resolved else by_row_key(other.clean_file)} UNION ALL {by_row_key(other.held_file)}"

    def _day(self, entity: str, field: str, row: str) -> str:
        """SQL of the day in a date field; that of an instant is the project's own, whatever day it is elsewhere."""
        value = f"{row}.{quoted(field)}"
        if self.spec.entities[entity].fields[field].type is not FieldType.DATETIME:
            return value
        zone = text(self.spec.project.time_zone)
        return f"strftime(timezone({zone}, try_cast({value} AS TIMESTAMPTZ)), '%Y-%m-%d')"

    def _left_out(self, name: str, lost: Mapping[str, str]) -> str:
        """SQL of the golden records that go: `key`, `reason_code`."""
        golden = scan(self.store.root / self.done[name].golden_file)
        parts = ["SELECT key, 'dormant_left_out' AS reason_code FROM chosen WHERE choice = 'leave_out'"]
        parts += [
            f"SELECT g._golden_key, 'parent_left_out' FROM {golden} AS g"  # noqa: S608
            f" SEMI JOIN ({keys}) AS p ON p.key = g.{quoted(field)}"
            for field, keys in lost.items()
            if self._needs(name, field)
        ]
        return f"SELECT key, min(reason_code) AS reason_code FROM ({' UNION ALL '.join(parts)}) GROUP BY key"  # noqa: S608

    def _needs(self, name: str, field: str) -> bool:
        """Whether a record cannot be without a reference: the entity says so, or a mapping."""
        if field in self.spec.deferred(name):
            return False
        return self.spec.entities[name].fields[field].required or (name, field) in self.needed

    def _losing(self, connection: duckdb.DuckDBPyConnection, name: str, lost: Mapping[str, str]) -> dict[str, int]:
        """By reference that a record can be without how many records lose it."""
        golden = scan(self.store.root / self.done[name].golden_file)
        found = {}
        for field, keys in lost.items():
            if not self._needs(name, field):
                query = (
                    f"SELECT count(*) FROM {golden} AS g SEMI JOIN ({keys}) AS p ON p.key = g.{quoted(field)}"  # noqa: S608
                    " ANTI JOIN left_out AS l ON l.key = g._golden_key"
                )
                found[field] = int(connection.execute(query).fetchall()[0][0])
        return {field: rows for field, rows in found.items() if rows}

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        rule: DormantSpec | None,
        lost: Mapping[str, str],
    ) -> EntityCleansing:
        """Write golden records, merge map, skipped rows and waves as they are now."""
        done, root = self.done[name], self.store.root
        golden, merges, skipped, waves = (
            scan(root / file) for file in (done.golden_file, done.merges_file, done.skipped_file, done.waves_file)
        )
        rows = (
            "SELECT l.key AS source_key, l.key AS golden_key, l.reason_code FROM left_out AS l UNION ALL"  # noqa: S608
            f" SELECT m.source_key, l.key, l.reason_code FROM {merges} AS m JOIN left_out AS l ON l.key = m.golden_key"
        )
        connection.execute(f"CREATE TEMP TABLE gone_row AS {rows}")
        queries = {
            "golden": self._golden(name, rule, lost, done.golden_file),
            "merges": f"SELECT m.* EXCLUDE (file_row_number) FROM {merges} AS m"  # noqa: S608
            " ANTI JOIN left_out AS l ON l.key = m.golden_key",
            "skipped": f"SELECT * EXCLUDE (file_row_number) FROM {skipped}"  # noqa: S608
            " UNION ALL SELECT source_key, reason_code FROM gone_row",
            "waves": f"SELECT * EXCLUDE (file_row_number) FROM {waves} UNION ALL SELECT r.source_key, g._wave"  # noqa: S608
            f" FROM gone_row AS r JOIN {golden} AS g ON g._golden_key = r.golden_key",
        }
        paths = {kind: self.store.path(name, f"settled-{kind}", self.key) for kind in queries}
        for kind, query in queries.items():
            write_parquet(connection, query, paths[kind])
        count = {kind: int(pq.ParquetFile(path).metadata.num_rows) for kind, path in paths.items()}
        return done.model_copy(
            update={
                "golden": count["golden"],
                "merged": count["merges"],
                "skipped": count["skipped"],
                "clusters": _clusters(connection, paths["merges"]),
                **{f"{kind}_file": self.store.relative(path) for kind, path in paths.items()},
            }
        )

    def _golden(self, name: str, rule: DormantSpec | None, lost: Mapping[str, str], golden_file: str) -> str:
        """SQL of the golden records that stay, with what the choice changes; references to records that go are null."""
        changes: dict[str, str] = {}
        for at, field in enumerate(lost):
            if not self._needs(name, field):
                changes[field] = f"CASE WHEN p{at}.key IS NULL THEN g.{quoted(field)} END"
        for choice, values in (("frozen", rule.freeze), ("pool", rule.pool)) if rule else ():
            for field, value in values.items():
                before = changes.get(field, f"g.{quoted(field)}")
                now = "NULL" if value is None else text(value)
                changes[field] = f"CASE WHEN c.choice = '{choice}' THEN {now} ELSE {before} END"
        replaced = ", ".join(f"{case} AS {quoted(field)}" for field, case in changes.items())
        joins = "".join(
            f" LEFT JOIN ({keys}) AS p{at} ON p{at}.key = g.{quoted(field)}"
            for at, (field, keys) in enumerate(lost.items())
        )
        return (
            f"SELECT g.* EXCLUDE (file_row_number){f' REPLACE ({replaced})' if replaced else ''}"  # noqa: S608
            f" FROM {scan(self.store.root / golden_file)} AS g"
            f" LEFT JOIN chosen AS c ON c.key = g._golden_key{joins}"
            " ANTI JOIN left_out AS l ON l.key = g._golden_key"
        )


def _clusters(connection: duckdb.DuckDBPyConnection, merges: Path) -> int:
    query = f"SELECT count(DISTINCT golden_key) FROM {scan(merges)}"  # noqa: S608
    return int(connection.execute(query).fetchall()[0][0])


def _undecided(name: str, rule: DormantSpec | None, dormant: DormantRecords | None) -> list[Finding]:
    if rule is None or dormant is None or not dormant.undecided:
        return []
    told = f"{dormant.undecided} records with which nothing happened for {rule.after_years:g} years are undecided"
    return [
        Finding(
            id="cleanse.dormant_undecided",
            level=Level.WARNING,
            message=told,
            where=name,
            hint="see `rollout dormant list`, then decide: no plan is made before that",
            count=dormant.undecided,
            detail={"years": f"{rule.after_years:g}"},
        )
    ]


def _dropped(name: str, field: str, rows: int) -> Finding:
    reason = REASONS["parent_left_out"]
    return Finding(
        id="cleanse.parent_left_out",
        level=Level.WARNING,
        message=f"{reason.message} (dropped: {rows})",
        where=f"{name}.{field}",
        hint=reason.hint,
        count=rows,
        detail={"done": "dropped"},
    )
