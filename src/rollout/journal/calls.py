"""How many calls we have made of a target, as far as the journal can tell."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from rollout.model.target import Capabilities

# The rows of a batch have one instant in common: that of its intent.
_BATCHES = text("""
SELECT count(*) FILTER (WHERE creates) AS creating, count(*) FILTER (WHERE NOT creates) AS others FROM (
    SELECT bool_and(s.state = 'created') AS creates FROM row_state s JOIN plan p USING (plan_id)
    WHERE p.project_id = :project AND p.target = :target AND s.intent_at >= :since AND s.digest <> ''
    GROUP BY s.plan_id, s.entity, s.intent_at
) batch
""")
_PLANNING = text("""
SELECT coalesce(sum((estimate ->> 'planning_calls')::bigint), 0)::bigint FROM plan
WHERE project_id = :project AND target = :target AND created_at >= :since
""")


def calls_since(
    connection: Connection, project_id: str, target: str, since: datetime, capabilities: Capabilities
) -> int:
    """Calls that plans, loads and undos made since an instant.

    Of a batch whose rows were all created a target that answers with what it stored was called once, of the others
    three times: looked at, written, read back. What was called by verifying, syncs and people is not known.
    """
    where = {"project": project_id, "target": target, "since": since}
    batches = connection.execute(_BATCHES, where).one()
    once = capabilities.returns_stored and capabilities.enforces_unique
    planning: int = connection.execute(_PLANNING, where).scalar_one()
    return planning + int(batches.creating) * (1 if once else 2) + int(batches.others) * 3
