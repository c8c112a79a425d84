"""The phase `cleanse`: every entity, parents first; the ledger and the findings go to the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from zoneinfo import ZoneInfo

from pydantic import Field, computed_field

from rollout.journal.leases import hold
from rollout.journal.ledger import LedgerRow
from rollout.mapping.spec import SourceSpec
from rollout.mapping.transforms import code_map_files, value_map_files
from rollout.mapping.transforms_base import TransformContext
from rollout.match.parquet import scan
from rollout.match.spec import MatchSpec
from rollout.model.base import Frozen
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.cleansed_report import write_cleansing_reports
from rollout.phases.cleansing import EntityRules, cleanse_entity
from rollout.phases.context import PhaseContext, Progress
from rollout.phases.deferred import resolve_deferred
from rollout.phases.dormant import settle_dormant
from rollout.phases.drift import source_inputs
from rollout.phases.leases import PREPARE
from rollout.phases.maps import read_code_map, read_map
from rollout.phases.past import Past, keep_golden_keys, kept_in, no_past
from rollout.phases.raw import RawStage, read_source
from rollout.phases.said import NOTHING_SAID, Said, said
from rollout.phases.stages import StageStore, code_version, digest, engine
from rollout.phases.waves import EntityWaves
from rollout.project.loader import Project


class CleanseSummary(Frozen):
    """What the phase did, by entity in load order."""

    entities: dict[str, EntityCleansing]
    reports: tuple[str, ...] = Field(default=(), description="Paths of the data cleansing report, a language each.")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def accounted(self) -> bool:
        """Whether every source row of every entity is in exactly one place."""
        return all(done.accounted for done in self.entities.values())


def run_cleanse(context: PhaseContext) -> CleanseSummary:
    """Read, cleanse and match every entity, and record where each source row went.

    Raises:
        ConfigError: The sources or mappings cannot be used as declared; the ledger is unchanged.
    """
    project = context.project
    store = StageStore(project.workspace.stages)
    with hold(context.journal, PREPARE), context.journal.running("cleanse") as run:
        inputs = source_inputs(context)  # before anything is read: what changes meanwhile shows as drift
        decided = {name: said(context.journal, name) for name in project.spec.entities}
        done = cleanse_entities(
            store,
            project,
            lambda entity, source: read_source(context, entity, source),
            context.progress,
            decided=decided,
            today=context.clock().astimezone(ZoneInfo(project.spec.project.time_zone)).date(),
            past=kept_in(context.journal),
        )
        for ordinal, (entity, result) in enumerate(done.items()):
            rows = ledger_rows(store, result)
            context.journal.replace_ledger(entity, rows, source_rows=result.waves, ordinal=ordinal, run_id=run.run_id)
            context.journal.add_findings(run.run_id, list(result.findings))
        context.journal.forget_ledger_but(list(done))
        summary = CleanseSummary(
            entities=done, reports=write_cleansing_reports(context, store, done, run_id=run.run_id)
        )
        run.summary = {**summary.model_dump(mode="json"), "inputs": inputs}
    return summary


def cleanse_entities(
    store: StageStore,
    project: Project,
    read: Callable[[str, SourceSpec], RawStage],
    progress: Progress,
    *,
    decided: Mapping[str, Said],
    today: date,
    past: Past | None = None,
) -> dict[str, EntityCleansing]:
    """Read, cleanse and match every entity; what became of them, parents first.

    Args:
        store: Where stages lie.
        project: The project.
        read: Reads one source of an entity.
        progress: Shows rows.
        decided: By entity what people said about its rows.
        today: In the project's time zone: dormancy counts back from it.
        past: What earlier runs decided and this one keeps to; None: there was none.

    Raises:
        ConfigError: The sources or mappings cannot be used as declared.
    """
    past = past or no_past()
    raws: dict[str, dict[str, RawStage]] = {}
    done: dict[str, EntityCleansing] = {}
    for entity in project.spec.load_order:
        raws[entity] = {source.name: read(entity, source) for source in project.spec.entities[entity].sources}
        rules = entity_rules(project, entity, decided.get(entity, NOTHING_SAID))
        parents = {name: (done[name], raws[name]) for name in set(rules.references.values())}
        matched = cleanse_entity(store, rules, raws[entity], parents, progress, models=past.models(entity))
        done[entity] = keep_golden_keys(store, matched, past.held(entity))
    plain = dict(done)
    for entity, result in plain.items():
        references = project.spec.entities[entity].references
        later = {field: references[field] for field in project.spec.deferred(entity)}
        if later:
            parents = {field: (plain[parent], raws[parent]) for field, parent in later.items()}
            done[entity] = resolve_deferred(store, result, parents)
    choices = {name: found.dormant for name, found in decided.items()}
    needed = {
        (name, rule.target)
        for (name, _), mapping in project.mappings.items()
        for rule in mapping.fields
        if rule.required
    }
    return settle_dormant(store, project.spec, done, raws, choices, today, needed=needed)


def entity_rules(project: Project, entity: str, decided: Said = NOTHING_SAID) -> EntityRules:
    """Everything that decides what an entity's rows become, files loaded. Raises ConfigError naming file and line.

    ``decided`` is what people said about its rows, besides what the project says.
    """
    spec = project.spec.entities[entity]
    mappings = {source.name: project.mappings[entity, source.name] for source in spec.sources}
    match = project.spec.match.get(entity, MatchSpec())
    return EntityRules(
        name=entity,
        spec=spec,
        mappings=mappings,
        match=match.model_copy(update={"apart": (*match.apart, *decided.apart)}),
        contexts={source.name: transform_context(project, entity, source) for source in spec.sources},
        waves=EntityWaves.of(project.spec.waves, entity),
        digest=digest(code_version(), project.rules_digest(entity), decided.about_rows.digest),
        words=decided.rows,
        pairs=decided.pairs,
        chunk_rows=project.spec.cleanse.chunk_rows,
        deferred=project.spec.deferred(entity),
    )


def transform_context(project: Project, entity: str, source: SourceSpec) -> TransformContext:
    """What the transforms of a source's mapping may know, with its value maps and the owner map loaded."""
    spec = project.spec
    steps = [step for rule in project.mappings[entity, source.name].fields for step in rule.transform]
    owners = spec.owner_map
    return TransformContext(
        phone_region=spec.project.phone_region,
        placeholders=spec.cleanse.placeholders,
        time_zone=source.time_zone or spec.project.time_zone,
        value_maps={
            file: read_map(project.root / file, "raw", "value", shown=file) for file in set(value_map_files(steps))
        },
        owner_map=read_map(project.root / owners.file, "legacy_name", "user", shown=owners.file) if owners else {},
        owner_default=owners.default if owners and owners.unmapped == "default" else None,
        owner_pool=owners.pool if owners else "",
        owner_pool_user=owners.pool_user if owners else None,
        code_maps={file: read_code_map(project.root / file, shown=file) for file in set(code_map_files(steps))},
    )


def ledger_rows(store: StageStore, done: EntityCleansing) -> Iterator[LedgerRow]:
    """Where each source row of an entity went: source key, disposition, golden key, reason, wave."""
    files = {
        kind: scan(store.root / name)
        for kind, name in (
            ("golden", done.golden_file),
            ("merges", done.merges_file),
            ("quarantine", done.quarantine_file),
            ("skipped", done.skipped_file),
            ("waves", done.waves_file),
        )
    }
    queries = (
        f"SELECT _golden_key, 'golden', _golden_key, NULL::VARCHAR, _wave FROM {files['golden']}",  # noqa: S608
        f"SELECT source_key, 'merged', m.golden_key, rule, _wave FROM {files['merges']} AS m"  # noqa: ISC004, S608
        f" JOIN {files['golden']} AS g ON _golden_key = m.golden_key",
        "SELECT _source_key, 'quarantined', NULL::VARCHAR,"  # noqa: ISC004, S608
        " string_agg(DISTINCT reason_code, ',' ORDER BY reason_code), any_value(_wave)"
        f" FROM {files['quarantine']} AS q JOIN {files['waves']} AS w USING (_source_key) GROUP BY _source_key",
        f"SELECT _source_key, 'skipped', NULL, reason_code, _wave FROM {files['skipped']} AS s"  # noqa: ISC004, S608
        f" JOIN {files['waves']} AS w USING (_source_key)",
    )
    with engine(store.root) as connection:
        for query in queries:
            found = connection.execute(query)
            while rows := found.fetchmany(10_000):
                yield from rows
