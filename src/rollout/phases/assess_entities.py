"""An entity as a whole: duplicates, dormant records, owners, volumes; over what the mappings make of its raw rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from rollout.assess.entity import NamedOwner, Seen, dormancy, owners, raw_names, volumes
from rollout.assess.entity_model import Dormancy, EntityFigures, Owners, Volumes
from rollout.assess.rules import literal
from rollout.journal.match_models import JournalModels
from rollout.mapping.spec import MappingRule, SourceSpec
from rollout.mapping.transforms import compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.match.spec import MatchSpec
from rollout.model.entity import FieldType
from rollout.phases.assess_duplicates import DuplicateFinder, Edges
from rollout.phases.assess_mapped import MappedEntity
from rollout.phases.context import PhaseContext
from rollout.phases.raw import RawStage
from rollout.phases.stages import StageStore

_DATES = (FieldType.DATE, FieldType.DATETIME)


def entity_figures(
    context: PhaseContext,
    connection: duckdb.DuckDBPyConnection,
    name: str,
    stages: Sequence[RawStage],
    mapped: Mapping[str, MappedEntity],
    *,
    today: date,
) -> EntityFigures:
    """Everything that can be said of an entity beyond its single columns.

    Args:
        context: The project.
        connection: Gets and loses temporary tables.
        name: The entity.
        stages: Its raw stages.
        mapped: What the mappings make of each entity's rows.
        today: In the project's time zone.
    """
    spec = context.project.spec
    own = mapped[name]
    models = JournalModels(context.journal, name)
    finder = DuplicateFinder(connection, own, spec.entities[name], spec.match.get(name, MatchSpec()), models)
    duplicates, same = finder.find()
    return EntityFigures(
        duplicates=duplicates,
        dormancy=_dormancy(context, connection, name, mapped, same, today=today),
        owners=_owners(context, connection, name, stages, own),
        volumes=_volumes(context, connection, name, own, today=today),
    )


def volume_field(context: PhaseContext, name: str) -> str | None:
    """The date by which an entity's records are counted: it tells what happened, or the last change, or anything."""
    fields = context.project.spec.entities[name].fields
    dated = [field for field, one in fields.items() if one.type in _DATES and not one.personal]
    newest = context.project.spec.match.get(name, MatchSpec()).newest_by
    return next((field for field in (*_happened(context, name), newest, *dated) if field in dated), None)


def _happened(context: PhaseContext, name: str) -> tuple[str, ...]:
    """The dates of an entity that show that something happened; others may lie ahead by right."""
    dormant = context.project.spec.dormant
    activity = [one.date for rule in dormant.values() for one in rule.activity if one.entity == name]
    return (*activity, *(dormant[name].dates if name in dormant else ()))


def _volumes(
    context: PhaseContext, connection: duckdb.DuckDBPyConnection, name: str, own: MappedEntity, *, today: date
) -> Volumes | None:
    field = volume_field(context, name)
    if field is None:
        return None
    spec = context.project.spec.entities[name]
    sources = [source.name for source in spec.sources]
    told = volumes(connection, own.path, sources, field, spec.fields[field].label, today=today)
    return told if field in _happened(context, name) else told.model_copy(update={"ahead": 0})


def _dormancy(
    context: PhaseContext,
    connection: duckdb.DuckDBPyConnection,
    name: str,
    mapped: Mapping[str, MappedEntity],
    same: Edges,
    *,
    today: date,
) -> Dormancy | None:
    spec = context.project.spec
    rule = spec.dormant.get(name)
    if rule is None:
        return None
    seen = [Seen(field, None, "", field) for field in rule.dates]
    seen += [
        Seen(one.entity, mapped[one.entity].path, one.reference, one.date)
        for one in rule.activity
        if one.entity in mapped
    ]
    rows, labels = same.labels()
    connection.register("assessed_same", pa.table({"row": rows.astype(np.int64), "record": labels.astype(np.int64)}))
    try:
        dates = "".join(f', m."{field}"' for field in rule.dates)
        records = (
            f"SELECT coalesce(s.record, m.file_row_number) AS record, {_key('m')} AS key{dates} "  # noqa: S608 - names checked
            f"FROM read_parquet({literal(str(mapped[name].path))}, file_row_number = true) AS m "
            "LEFT JOIN assessed_same AS s ON s.row = m.file_row_number"
        )
        return dormancy(connection, records, seen, after_years=rule.after_years, today=rule.as_of or today)
    finally:
        connection.unregister("assessed_same")


def _key(row: str) -> str:
    """SQL: what references to a mapped row hold."""
    return f"substr(coalesce({row}._repeats, {row}._source_key), length({row}._source) + 2)"


def _owners(
    context: PhaseContext,
    connection: duckdb.DuckDBPyConnection,
    name: str,
    stages: Sequence[RawStage],
    own: MappedEntity,
) -> Owners | None:
    """Who the rows belong to, from the raw names; None if no mapping of the entity reads any."""
    root = StageStore(context.project.workspace.stages).root
    found: list[NamedOwner] = []
    blank, asked = 0, False
    for source in context.project.spec.entities[name].sources:
        stage = next(stage for stage in stages if stage.source == source.name)
        rule = _owner_rule(context, name, source, stage)
        if rule is None:
            continue
        asked = True
        names = raw_names(connection, root / stage.file, rule.columns[0])
        told = list(_looked_up(names, rule, own.contexts[source.name]))
        found += [owner for owner in told if owner is not None]
        blank += sum(rows for (_, rows), owner in zip(names, told, strict=True) if owner is None)
    return owners(found, blank=blank) if asked else None


def _owner_rule(context: PhaseContext, name: str, source: SourceSpec, stage: RawStage) -> MappingRule | None:
    """The rule that looks owners up, reading the first of its columns that the source has."""
    columns = {column for part in stage.parts for column in part.columns}
    for rule in context.project.mappings[name, source.name].fields:
        present = tuple(column for column in rule.columns if column in columns)
        if present and any(step.name == "owner" for step in rule.transform):
            return rule.model_copy(update={"source": present})
    return None


def _looked_up(
    names: Sequence[tuple[str | None, int]], rule: MappingRule, context: TransformContext
) -> Iterator[NamedOwner | None]:
    """What the mapping makes of each name; None where there is none."""
    if not names:
        return
    cells = pa.array([name for name, _ in names], pa.string())
    done = run_steps(cells, compile_steps(rule.transform, FieldType.TEXT), context)
    codes = [None] * len(names) if done.codes is None else done.codes.to_pylist()
    for (name, rows), user, code in zip(names, done.values.to_pylist(), codes, strict=True):
        if user is None and code is None:
            yield None
        else:
            unknown = code in ("owner_unknown", "owner_defaulted")
            yield NamedOwner((name or "").strip(), rows, None if unknown else user, pool=code == "owner_pool")
