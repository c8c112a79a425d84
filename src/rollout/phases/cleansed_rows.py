"""The latest cleansing as it lies in the workspace, for verbs that look at its rows; and whose each row is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from rollout.errors import ConfigError
from rollout.match.parquet import quoted, scan
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.context import PhaseContext
from rollout.phases.raw import RawStage, referable_rows
from rollout.phases.stages import StageStore


class LatestCleansing:
    """What the latest cleansing made of every entity.

    Args:
        context: The project and its journal.

    Raises:
        ConfigError: Nothing was cleansed yet.
    """

    def __init__(self, context: PhaseContext) -> None:
        self.context = context
        self.spec = context.project.spec
        self.store = StageStore(context.project.workspace.stages)
        run = context.journal.latest_run("cleanse")
        if run is None:
            raise ConfigError("nothing was cleansed yet", hint="run `rollout cleanse`")
        self._bodies = run.summary["entities"]

    @cached_property
    def done(self) -> Mapping[str, EntityCleansing]:
        """By entity; only those that the project still has.

        Raises:
            ConfigError: The cleansing is of an earlier version, or its stages are gone.
        """
        try:
            found = {
                name: EntityCleansing.model_validate(body)
                for name, body in self._bodies.items()
                if name in self.spec.entities
            }
        except ValueError as error:
            raise ConfigError("the latest cleansing is of an earlier version", hint="run `rollout cleanse`") from error
        gone = [name for name, done in found.items() if not (self.root / done.quarantine_file).exists()]
        if gone:
            raise ConfigError(f"the stages of {', '.join(gone)} are gone", hint="run `rollout cleanse`")
        return found

    @property
    def root(self) -> Path:
        """The folder of the stages."""
        return self.store.root

    def raws(self, entity: str) -> dict[str, RawStage]:
        """The raw stages that an entity was made of, by source name."""
        stages = [
            RawStage.model_validate_json((self.root / file).with_suffix(".json").read_bytes())
            for file in self.done[entity].raw_files
        ]
        return {stage.source: stage for stage in stages}

    def held_by(self, entity: str, field: str) -> str:
        """SQL of whose the rows are that did not become clean: `source_key`, `whose` (null: nobody knows).

        A row whose entity has no such field, or no value in it, belongs to whoever the record belongs to that it
        refers to.

        Args:
            entity: The entity.
            field: Names the owner or the region, in whatever entity has it.
        """
        return self._held(entity, field, ())

    def owner_path(self, entity: str, field: str, seen: tuple[str, ...] = ()) -> str | None:
        """The reference by which an entity's rows get at the field, if one leads there."""
        spec = self.spec.entities[entity]
        found = [
            (not spec.fields[name].required, field not in self.spec.entities[parent].fields, name)
            for name, parent in spec.references.items()
            if parent not in (*seen, entity)
            and (
                field in self.spec.entities[parent].fields
                or self.owner_path(parent, field, (*seen, entity)) is not None
            )
        ]
        return min(found)[2] if found else None

    def _held(self, entity: str, field: str, seen: tuple[str, ...]) -> str:
        held = scan(self.root / self.done[entity].held_file)
        own = f"h.{quoted(field)}" if field in self.spec.entities[entity].fields else "NULL::VARCHAR"
        by = self.owner_path(entity, field, seen)
        if by is None:
            return f"SELECT h._source_key AS source_key, {own} AS whose FROM {held} AS h"  # noqa: S608
        parent = self.spec.entities[entity].references[by]
        keys = referable_rows(self.root, self.raws(parent).values())
        return (
            f"SELECT h._source_key AS source_key, coalesce({own}, min(w.whose)) AS whose FROM {held} AS h"  # noqa: S608
            f" LEFT JOIN ({keys}) AS k ON k.key = h.{quoted(by)}"
            f" LEFT JOIN ({self._of_all(parent, field, (*seen, entity))}) AS w ON w.source_key = k.source_key"
            f" GROUP BY h._source_key, {own}"
        )

    def _of_all(self, entity: str, field: str, seen: tuple[str, ...]) -> str:
        """SQL of whose every row of an entity is."""
        done = self.done[entity]
        return (
            f"WITH g AS ({self.golden_of(entity, field, seen)})"  # noqa: S608
            " SELECT golden_key AS source_key, whose FROM g UNION ALL SELECT m.source_key, g.whose"
            f" FROM {scan(self.root / done.merges_file)} AS m JOIN g ON g.golden_key = m.golden_key"
            f" UNION ALL {self._held(entity, field, seen)}"
        )

    def golden_of(self, entity: str, field: str, seen: tuple[str, ...] = ()) -> str:
        """SQL of whose the golden records are: `golden_key`, `whose`."""
        golden = scan(self.root / self.done[entity].golden_file)
        own = f"g.{quoted(field)}" if field in self.spec.entities[entity].fields else "NULL::VARCHAR"
        by = self.owner_path(entity, field, seen)
        if by is None:
            return f"SELECT g._golden_key AS golden_key, {own} AS whose FROM {golden} AS g"  # noqa: S608
        parent = self.spec.entities[entity].references[by]
        return (
            f"SELECT g._golden_key AS golden_key, coalesce({own}, p.whose) AS whose FROM {golden} AS g"  # noqa: S608
            f" LEFT JOIN ({self.golden_of(parent, field, (*seen, entity))}) AS p ON p.golden_key = g.{quoted(by)}"
        )
