"""Trained match models in the journal: matching again, with more data, weighs the same rows the same way."""

from __future__ import annotations

from sqlalchemy import text

from rollout.journal.store import Journal
from rollout.match.model import TrainedModel

_LOAD = text("""
SELECT model FROM match_model WHERE project_id = :project AND entity = :entity AND settings_digest = :digest
""")
_SAVE = text("""
INSERT INTO match_model (project_id, entity, settings_digest, model, rows, trained_at)
VALUES (:project, :entity, :digest, CAST(:model AS jsonb), :rows, clock_timestamp()) ON CONFLICT DO NOTHING
""")


class JournalModels:
    """The models of one entity: a `rollout.match.model.ModelStore`.

    Args:
        journal: Bound to the project.
        entity: Whose models.
    """

    def __init__(self, journal: Journal, entity: str) -> None:
        self._journal, self._entity = journal, entity

    def load(self, settings_digest: str) -> TrainedModel | None:
        """The model of these settings, if one was trained before."""
        with self._journal.transaction() as connection:
            found = connection.execute(_LOAD, self._key(settings_digest)).scalar()
        return None if found is None else TrainedModel.model_validate(found)

    def save(self, settings_digest: str, model: TrainedModel) -> None:
        """Keep a model. One that is there already stays."""
        values = {**self._key(settings_digest), "model": model.model_dump_json(), "rows": model.rows}
        with self._journal.transaction() as connection:
            connection.execute(_SAVE, values)

    def _key(self, settings_digest: str) -> dict[str, str]:
        return {"project": self._journal.project_id, "entity": self._entity, "digest": settings_digest}
