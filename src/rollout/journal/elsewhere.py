"""What the journal knows of a wave in one target, for the one that is to be loaded after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from rollout.journal.decisions import decided
from rollout.journal.overlay import Overlay, is_finished, overlay_of
from rollout.journal.plans import Plans
from rollout.journal.store import Journal
from rollout.model.progress import Decision, Judgement

# A verification that broke off names neither target nor plan: it might have been of this one, and proves nothing.
_JUDGED = text("""
SELECT DISTINCT ON (g.gate) g.seq, g.gate, g.wave, g.verdict, g.judged_at, r.seq AS run_seq,
       r.summary->>'plan_id' AS plan_id
FROM gate g JOIN run r USING (run_id)
WHERE g.project_id = :project AND g.wave = :wave AND g.gate = ANY(:gates) AND r.phase = 'verify'
  AND coalesce(r.summary->>'target', :target) = :target
ORDER BY g.gate, g.seq DESC
""")

_WRITTEN_SINCE = text("""
SELECT EXISTS (
  SELECT FROM run r WHERE r.project_id = :project AND r.seq > :run_seq
    AND EXISTS (SELECT FROM row_state s WHERE s.run_id = r.run_id AND s.plan_id = ANY(:plans)))
""")


@dataclass(frozen=True)
class Held:
    """How far a wave is in a target."""

    overlay: Overlay
    """Its plans. What was taken back to measure how long that takes counts as held: that was part of the trial."""
    is_taken_back: bool
    is_finished: bool
    """Every row has a closed outcome."""
    judgements: Mapping[str, Judgement]
    """By gate those that were made of what is held now, the newest of each."""
    decisions: tuple[Decision, ...]
    """All of the project, oldest first."""


def held_in(journal: Journal, target: str, wave: str, gates: Sequence[str]) -> Held | None:
    """What a target holds of a wave, and how these gates were judged about it; None where nothing was loaded."""
    with journal.transaction() as connection:
        whole = overlay_of(connection, journal.project_id, target, wave)
        if whole is None:
            return None
        overlay = Overlay(whole.base, tuple(plan for plan in whole.over if not plan.scope.get("rehearse")))
        return Held(
            overlay=overlay,
            is_taken_back=any(plan.kind == "undo" for plan in overlay.over),
            # A plan that was taken back is superseded, although it had been applied to its end.
            is_finished=is_finished(connection, overlay)
            and Plans(journal.project_id).is_done(connection, overlay.newest.plan_id),
            judgements=_judgements(connection, journal.project_id, overlay, gates),
            decisions=tuple(decided(connection, journal.project_id)),
        )


def _judgements(
    connection: Connection, project_id: str, overlay: Overlay, gates: Sequence[str]
) -> dict[str, Judgement]:
    base = overlay.base
    asked = {"project": project_id, "target": base.target, "wave": base.wave, "gates": list(gates)}
    plans = [plan.plan_id for plan in overlay.plans]
    found = {}
    for row in connection.execute(_JUDGED, asked).mappings().all():
        since = {"project": project_id, "run_seq": row["run_seq"], "plans": plans}
        if row["plan_id"] == base.plan_id and not connection.execute(_WRITTEN_SINCE, since).scalar_one():
            found[row["gate"]] = Judgement(**{name: row[name] for name in Judgement.model_fields})
    return found
