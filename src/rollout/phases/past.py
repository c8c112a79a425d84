"""What earlier runs decided and later ones keep to: trained models, and the rows that records go by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from rollout.journal import golden_keys
from rollout.journal.match_models import JournalModels
from rollout.journal.store import Journal
from rollout.match.model import MemoryModels, ModelStore
from rollout.match.parquet import scan, write_parquet
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.stages import StageStore, digest, engine

Held = Callable[[Sequence[str]], Sequence[str]]
"""Of some source keys those that planned records go by."""


@dataclass(frozen=True)
class Past:
    """What is known of earlier runs, by entity."""

    models: Callable[[str], ModelStore]
    held: Callable[[str], Held]


def no_past() -> Past:
    """Of a project that was never cleansed before."""
    store = MemoryModels()
    return Past(models=lambda _: store, held=lambda _: lambda _: ())


def kept_in(journal: Journal) -> Past:
    """What the journal keeps."""

    def held(entity: str) -> Held:
        def of(source_keys: Sequence[str]) -> Sequence[str]:
            with journal.transaction() as connection:
                return golden_keys.held(connection, journal.project_id, entity, source_keys)

        return of

    return Past(models=lambda entity: JournalModels(journal, entity), held=held)


def keep_golden_keys(store: StageStore, done: EntityCleansing, held: Held) -> EntityCleansing:
    """Let records go on by the row that they went by, whichever of their rows survives now.

    A row that joins a record may be the more complete one: the record takes its values, and keeps its key.

    Args:
        store: Where stages lie.
        done: What matching made of an entity.
        held: Which rows planned records go by.
    """
    swaps = _swaps(store, done, held)
    if not swaps:
        return done
    key = digest(done.key, swaps)
    description = store.path(done.entity, "kept", key, "json")
    known = store.load(description, EntityCleansing, files=("golden_file", "merges_file"))
    if known is not None:
        return known
    golden, merges = (store.path(done.entity, f"kept-{kind}", key) for kind in ("golden", "merges"))
    with engine(store.root) as connection:
        old, new = zip(*swaps, strict=True)
        connection.register("swap", pa.table({"old": pa.array(old, pa.string()), "new": pa.array(new, pa.string())}))
        write_parquet(
            connection,
            "SELECT g.* EXCLUDE (file_row_number) REPLACE (coalesce(swap.new, g._golden_key) AS _golden_key)"  # noqa: S608
            f" FROM {scan(store.root / done.golden_file)} AS g LEFT JOIN swap ON swap.old = g._golden_key",
            golden,
        )
        write_parquet(
            connection,
            "SELECT m.* EXCLUDE (file_row_number)"  # noqa: S608
            " REPLACE (CASE WHEN m.source_key = swap.new THEN swap.old ELSE m.source_key END AS source_key,"
            " coalesce(swap.new, m.golden_key) AS golden_key,"
            " CASE WHEN m.source_key = swap.new AND m.tied_to = swap.old THEN swap.new ELSE m.tied_to END AS tied_to)"
            f" FROM {scan(store.root / done.merges_file)} AS m LEFT JOIN swap ON swap.old = m.golden_key ORDER BY 1",
            merges,
        )
    kept = done.model_copy(
        update={"key": key, "golden_file": store.relative(golden), "merges_file": store.relative(merges)}
    )
    store.save(description, kept)
    return kept


def _swaps(store: StageStore, done: EntityCleansing, held: Held) -> list[tuple[str, str]]:
    """Survivors that give way, each with the row that its record goes by; ordered."""
    merges = pq.read_table(store.root / done.merges_file, columns=["source_key", "golden_key"])
    lost, kept = merges["source_key"].to_pylist(), merges["golden_key"].to_pylist()
    known = set(held(sorted({*lost, *kept})))
    before: dict[str, str] = {}
    for source_key, golden_key in zip(lost, kept, strict=True):
        if source_key in known and golden_key not in known:
            before[golden_key] = min(source_key, before.get(golden_key, source_key))
    return sorted(before.items())
