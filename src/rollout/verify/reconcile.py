"""Compare everything that should be in the target with everything that is: keys, fields and relations, 100 % of them.

Set-wise, in DuckDB over Parquet, so that a million rows are compared within bounded memory. What is expected comes from
the golden stage and the journal's crosswalk; what is there comes from reading the target. A relation is followed to the
record it points to, and that record's migration key is compared: an id that merely looks right proves nothing.

Every finding lands in one of two Parquet files: `recon_result`, one row an (entity, migration key), and the field-level
file, one row a wrong field or relation. Both join by key; nothing here depends on the order of rows.
"""

# ruff: noqa: S608 - identifiers are quoted by `_column`, values are parameters or quoted by `_text`

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import duckdb
import pyarrow as pa

from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec
from rollout.model.outcome import LOADED

CROSSWALK = pa.schema(
    [(name, pa.string()) for name in ("golden_key", "migration_key", "target_id", "state")],
)
"""One row a migration key of the project: the golden record it stands for, the target record it is known to be, and the
bucket of its latest outcome (`not_loaded` before there is one, `gone` where no golden record has the key any more,
`other_wave` where its golden record is judged with another wave)."""

OTHER_WAVE = "other_wave"

KEPT = pa.schema([("migration_key", pa.string()), ("field", pa.string())])
"""Fields that the approved plan leaves to the people who changed them in the target."""

TARGET_ID = "_target_id"
"""Stands in the field-level file where the record under a key is not the one we made."""


class Status(StrEnum):
    """What comparing one migration key showed; the first that applies, in this order."""

    MISSING = "missing"
    """Loaded, and not there."""
    DUPLICATE = "duplicate"
    """Loaded, and there more than once."""
    DIFFERENT = "different"
    """There once, with a wrong field or relation."""
    OK = "ok"
    EXTRA = "extra"
    """There, although nothing was loaded under this key."""


@dataclass(frozen=True, slots=True)
class EntityData:
    """One entity's two sides.

    Args:
        entity: Its name.
        fields: Its fields; those with ``verify: false`` are not compared.
        golden: The golden stage: fields, `_golden_key`; references hold the parent's golden key.
        crosswalk: Schema `CROSSWALK`.
        kept: Schema `KEPT`; these fields are not judged.
        observed: What the target holds: fields, `_migration_key`, `_target_id`, `_modified_by`; references hold target
            ids.
        carried: Beginnings of the migration keys that syncs give; such records are not ours to judge.
    """

    entity: str
    fields: Mapping[str, FieldSpec]
    golden: Path
    crosswalk: pa.Table
    observed: Path
    kept: pa.Table = field(default_factory=KEPT.empty_table)
    carried: tuple[str, ...] = ()


class Reconciliation(Frozen):
    """The figures of one entity's comparison."""

    entity: str
    expected: int
    """Rows that were loaded and therefore must be there."""
    observed: int
    """Distinct records read, whoever made them."""
    ok: int
    missing: int
    duplicate: int
    """Keys held by more than one record."""
    extra: int
    """Keys that are there although nothing was loaded under them."""
    different: int
    """Rows with at least one wrong field or relation."""
    relations: int
    """Relations compared: reference fields with a value on either side."""
    relations_broken: int
    held: int
    """Records made by an earlier load whose latest outcome is not 'loaded', or whose source row is gone."""
    other_waves: int
    """Records of other waves: not judged here."""
    other: int
    """Records without migration key, or carried by a sync: not ours, not judged."""
    kept: int
    """Differing fields that the plan leaves to people."""
    wrong_fields: dict[str, int]
    """Rows by wrong field or relation."""
    rows_path: str
    fields_path: str

    def relative_to(self, folder: Path) -> Reconciliation:
        """The same with paths relative to ``folder``: workspaces move."""
        paths = {
            name: Path(getattr(self, name)).relative_to(folder).as_posix() for name in ("rows_path", "fields_path")
        }
        return self.model_copy(update=paths)


def reconcile(
    connection: duckdb.DuckDBPyConnection,
    data: Sequence[EntityData],
    entities: Sequence[str],
    *,
    folder: Path,
    tag: str,
) -> dict[str, Reconciliation]:
    """Compare entities, each with its parents at hand.

    Args:
        connection: A DuckDB connection of its own; temporary tables are left in it.
        data: The entities to compare and every entity that their references point to.
        entities: Those of ``data`` to compare.
        folder: Where `{entity}/recon-{tag}.parquet` and `{entity}/recon-fields-{tag}.parquet` go.
        tag: Such as the run's id.

    Returns:
        Figures by entity, in the order of ``data``.
    """
    for item in data:
        _views(connection, item)
    return {
        item.entity: _compare(connection, item, folder / item.entity, tag) for item in data if item.entity in entities
    }


class Orphans(Frozen):
    """References of all records that the target holds, whoever made them."""

    entity: str
    references: int
    """Reference fields with a value."""
    orphans: dict[str, int]
    """By field those that lead to no record of the target."""
    examples: dict[str, tuple[str, ...]]
    """Target ids of some of the records concerned, by field."""


_EXAMPLES = 10


def orphans(
    connection: duckdb.DuckDBPyConnection,
    data: Sequence[EntityData],
    entity: str,
    *,
    there: Callable[[str, Sequence[str]], Container[str]],
) -> Orphans:
    """Follow every reference of an entity in the target.

    Args:
        connection: On which :func:`reconcile` has run for ``data``.
        data: The entity, and every entity that its references point to.
        entity: Which of them.
        there: Of these ids of an entity those that the target has now: people may have made a record, and one that
            refers to it, after the first was read and before the second.
    """
    fields = next(item.fields for item in data if item.entity == entity)
    total, lost, examples = 0, {}, {}
    for name, spec in fields.items():
        if spec.references is None:
            continue
        column, child, parent = _column(name), _name("observed", entity), _name("observed", spec.references)
        [(references,)] = connection.execute(f"SELECT count({column}) FROM {child}").fetchall()
        missing = connection.execute(
            f"SELECT c.{column}, count(*), list(c._target_id ORDER BY c._target_id)[1:{_EXAMPLES}] FROM {child} c "
            f"LEFT JOIN {parent} p ON p._target_id = c.{column} "
            f"WHERE c.{column} IS NOT NULL AND p._target_id IS NULL GROUP BY 1 ORDER BY 1"
        ).fetchall()
        total += int(references)
        found = there(spec.references, [row[0] for row in missing]) if missing else ()
        gone = [row for row in missing if row[0] not in found]
        if gone:
            lost[name] = sum(int(row[1]) for row in gone)
            examples[name] = tuple(target_id for row in gone for target_id in row[2])[:_EXAMPLES]
    return Orphans(entity=entity, references=total, orphans=lost, examples=examples)


def _views(connection: duckdb.DuckDBPyConnection, data: EntityData) -> None:
    # Materialised: DuckDB plans joins of its own tables far better than of registered Arrow ones.
    for kind, table in (("known", data.crosswalk.cast(CROSSWALK)), ("kept", data.kept.cast(KEPT))):
        connection.register("arrow", table)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {_name(kind, data.entity)} AS SELECT * FROM arrow")
        connection.unregister("arrow")
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {_name('golden', data.entity)} AS "
        f"SELECT * FROM read_parquet({_text(data.golden)})"
    )
    # Pages of a busy target may overlap: the same record read twice is one record.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_name('observed', data.entity)} AS SELECT * FROM read_parquet($1) "
        "QUALIFY row_number() OVER (PARTITION BY _target_id ORDER BY _migration_key) = 1",
        [str(data.observed)],
    )


def _compare(connection: duckdb.DuckDBPyConnection, data: EntityData, folder: Path, tag: str) -> Reconciliation:
    folder.mkdir(parents=True, exist_ok=True)
    rows_path, fields_path = folder / f"recon-{tag}.parquet", folder / f"recon-fields-{tag}.parquet"
    entity = data.entity
    connection.execute(_judged_sql(data), {"loaded": [bucket.value for bucket in LOADED]})
    connection.execute("CREATE OR REPLACE TEMP TABLE wrong AS SELECT migration_key, golden_key, modified_by, "
                       "unnest(wrong, recursive := true) FROM judged WHERE len(wrong) > 0")  # fmt: skip
    connection.execute(
        "COPY (SELECT $entity AS entity, migration_key, golden_key, target_id, status, reason, copies, "
        "len(list_filter(wrong, lambda w: w.kind <> 'relation')) AS wrong_fields, "
        "len(list_filter(wrong, lambda w: w.kind = 'relation')) AS broken_relations "
        f"FROM judged ORDER BY status, migration_key) TO {_text(rows_path)} (FORMAT parquet)",
        {"entity": entity},
    )
    connection.execute(
        "COPY (SELECT $entity AS entity, migration_key, golden_key, field, kind, expected, observed, modified_by "
        f"FROM wrong ORDER BY migration_key, field) TO {_text(fields_path)} (FORMAT parquet)",
        {"entity": entity},
    )
    figures = _figures(
        connection,
        "SELECT count(*) FILTER (status <> 'extra') AS expected, count(*) FILTER (status = 'ok') AS ok, "
        "count(*) FILTER (status = 'missing') AS missing, count(*) FILTER (status = 'duplicate') AS duplicate, "
        "count(*) FILTER (status = 'extra') AS extra, "
        "count(*) FILTER (len(wrong) > 0) AS different, "
        "coalesce(sum(relations), 0) AS relations, coalesce(sum(kept), 0) AS kept, "
        "coalesce(sum(len(list_filter(wrong, lambda w: w.kind = 'relation'))), 0) AS relations_broken FROM judged",
    ) | _figures(
        connection,
        "SELECT count(*) AS observed, count(*) FILTER (o._migration_key IS NULL OR is_carried) AS other, "
        "count(*) FILTER (o._migration_key IS NOT NULL AND j.migration_key IS NULL AND NOT is_other AND NOT is_carried)"
        " AS held, "
        "count(*) FILTER (is_other) AS other_waves FROM ("
        f"SELECT _migration_key, coalesce(_migration_key IN (SELECT migration_key FROM {_name('known', entity)} "
        f"WHERE state = '{OTHER_WAVE}'), false) AS is_other, coalesce({_carried(data)}, false) AS is_carried "
        f"FROM {_name('observed', entity)}"
        ") o LEFT JOIN judged j ON j.migration_key = o._migration_key",
    )
    wrong_fields = connection.execute("SELECT field, count(*) FROM wrong GROUP BY field ORDER BY 2 DESC, 1").fetchall()
    return Reconciliation(
        entity=entity,
        wrong_fields=dict(wrong_fields),
        rows_path=str(rows_path),
        fields_path=str(fields_path),
        **figures,
    )


def _judged_sql(data: EntityData) -> str:
    """`judged`: one row a key with status, reason, copies, relations compared and the list of what is wrong."""
    compared = {name: spec for name, spec in data.fields.items() if spec.verify}
    values = [name for name, spec in compared.items() if spec.references is None]
    relations = {name: spec.references for name, spec in compared.items() if spec.references}
    joins = "".join(_relation_joins(name, parent) for name, parent in relations.items())
    wrong = [
        _wrong_value(name) for name in values
    ] + [_wrong_relation(name) for name in relations]  # fmt: skip
    wrong.append(
        "CASE WHEN e.target_id <> o._target_id "
        f"THEN [{{'field': '{TARGET_ID}', 'kind': 'record', 'expected': e.target_id, 'observed': o._target_id}}] END"
    )
    counted = " + ".join(
        f"(g.{_column(name)} IS NOT NULL OR o.{_column(name)} IS NOT NULL)::BIGINT" for name in relations
    )
    golden, crosswalk, observed, kept = (_name(kind, data.entity) for kind in ("golden", "known", "observed", "kept"))
    return f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH copies AS (
            SELECT _migration_key AS migration_key, count(*) AS copies FROM {observed}
            WHERE _migration_key IS NOT NULL AND NOT {_carried(data)} GROUP BY 1
        ), expected AS (
            SELECT * FROM {crosswalk} WHERE list_contains($loaded, state)
        ), pairs AS (
            SELECT e.migration_key, e.golden_key, coalesce(o._target_id, e.target_id) AS target_id,
                g._golden_key IS NULL AS no_golden, o._target_id IS NULL AS absent, o._modified_by AS modified_by,
                {counted or "0::BIGINT"} AS relations,
                flatten(list_filter([{", ".join(wrong)}], lambda part: part IS NOT NULL)) AS wrong
            FROM expected e
            LEFT JOIN {golden} g ON g._golden_key = e.golden_key
            LEFT JOIN {observed} o ON o._migration_key = e.migration_key
            {joins}
            -- Of several copies, the one we made is compared.
            QUALIFY row_number() OVER (
                PARTITION BY e.migration_key ORDER BY coalesce(o._target_id = e.target_id, false) DESC, o._target_id
            ) = 1
        ), left_to_people AS (
            SELECT migration_key, list(field) AS fields FROM {kept} GROUP BY 1
        ), judged AS (
            SELECT p.* EXCLUDE (wrong), wrong AS all_wrong,
                list_filter(wrong, lambda w: NOT list_contains(coalesce(l.fields, []), w.field)) AS wrong
            FROM pairs p LEFT JOIN left_to_people l USING (migration_key)
        )
        SELECT p.migration_key, golden_key, target_id,
            CASE WHEN absent THEN 'missing' WHEN c.copies > 1 THEN 'duplicate'
                WHEN no_golden OR len(wrong) > 0 THEN 'different' ELSE 'ok' END AS status,
            CASE WHEN no_golden THEN 'no_golden_record' END AS reason,
            coalesce(c.copies, 0) AS copies, modified_by,
            CASE WHEN absent THEN 0 ELSE relations END AS relations,
            CASE WHEN absent THEN 0 ELSE len(all_wrong) - len(wrong) END AS kept,
            CASE WHEN absent THEN [] ELSE wrong END AS wrong
        FROM judged p LEFT JOIN copies c USING (migration_key)
        UNION ALL
        SELECT c.migration_key, k.golden_key, min(o._target_id), 'extra',
            CASE WHEN k.migration_key IS NULL THEN 'never_made' ELSE k.state END,
            any_value(c.copies), any_value(o._modified_by), 0, 0, []
        FROM copies c JOIN {observed} o ON o._migration_key = c.migration_key
        LEFT JOIN {crosswalk} k ON k.migration_key = c.migration_key
        WHERE c.migration_key NOT IN (SELECT migration_key FROM expected)
            AND k.target_id IS NULL  -- with a target id it was made by an earlier load: held, not extra
            AND k.state IS DISTINCT FROM '{OTHER_WAVE}'
        GROUP BY c.migration_key, k.golden_key, k.migration_key, k.state
    """


def _carried(data: EntityData) -> str:
    """SQL: whether a sync, and no load, made a record. What a load made stays a load's, whatever its key looks like."""
    begins = " OR ".join(f"starts_with(_migration_key, {_text(prefix)})" for prefix in data.carried) or "false"
    return f"(({begins}) AND _migration_key NOT IN (SELECT migration_key FROM {_name('known', data.entity)}))"


def _relation_joins(field: str, parent: str) -> str:
    """The parent that is expected, and the parent that the target's reference leads to."""
    column, known, seen = _column(field), _column(f"known:{field}"), _column(f"seen:{field}")
    return (
        f"LEFT JOIN {_name('known', parent)} {known} ON {known}.golden_key = g.{column}\n"
        f"LEFT JOIN {_name('observed', parent)} {seen} ON {seen}._target_id = o.{column}\n"
    )


def _wrong_value(field: str) -> str:
    column = _column(field)
    return (
        f"CASE WHEN g.{column} IS DISTINCT FROM o.{column} "
        f"THEN [{{'field': {_text(field)}, 'kind': 'value', 'expected': g.{column}, 'observed': o.{column}}}] END"
    )


def _wrong_relation(field: str) -> str:
    column, known, seen = _column(field), _column(f"known:{field}"), _column(f"seen:{field}")
    return (
        f"CASE WHEN (g.{column} IS NULL) <> (o.{column} IS NULL) OR (g.{column} IS NOT NULL AND ("
        f"{known}.migration_key IS NULL OR {seen}._migration_key IS DISTINCT FROM {known}.migration_key "
        f"OR {known}.target_id <> o.{column})) "
        f"THEN [{{'field': {_text(field)}, 'kind': 'relation', "
        f"'expected': coalesce({known}.migration_key, g.{column}), "
        f"'observed': coalesce({seen}._migration_key, o.{column})}}] END"
    )


def _figures(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    """The one row of an aggregate, by column."""
    cursor = connection.execute(sql)
    [row] = cursor.fetchall()  # to its end: a result that is not fetched whole blocks the connection
    return {str(column[0]): int(value) for column, value in zip(cursor.description, row, strict=True)}


def _name(kind: str, entity: str) -> str:
    return _column(f"{kind}:{entity}")


def _column(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str | Path) -> str:
    """An SQL literal; COPY takes no parameters."""
    return "'" + str(value).replace("'", "''") + "'"
