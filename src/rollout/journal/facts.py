"""The facts that a rollout's state follows from, read in one transaction: the newest of each kind."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import psutil
from sqlalchemy import Connection, RowMapping, text

from rollout.journal.decisions import decided
from rollout.journal.store import Journal
from rollout.model.progress import Facts, Judgement, Override, PlanFact, RunFact, RunState, overrides_of

RESTED_ON = ("sources", "rules")
"""What of a plan's inputs it shares with the cleansing that it was made from."""

# Only what is asked of a summary leaves the database: that of an assessment is the whole assessment.
_RUNS = text("""
SELECT DISTINCT ON (phase, wave, state) seq, phase, wave, state, started_at, ended_at, host, pid,
       coalesce(summary->>'error', '') AS error, CAST(summary->'errors' AS text) AS errors, summary->'inputs' AS inputs
FROM run WHERE project_id = :project ORDER BY phase, wave, state, seq DESC
""")

# What was verified in another target says nothing about this one. Other phases may have a target of their own.
_JUDGEMENTS = text("""
SELECT DISTINCT ON (g.gate, g.wave) g.seq, g.gate, g.wave, g.verdict, g.judged_at, r.seq AS run_seq
FROM gate g JOIN run r USING (run_id) WHERE g.project_id = :project
  AND (CAST(:target AS text) IS NULL OR r.phase <> 'verify' OR coalesce(r.summary->>'target', :target) = :target)
ORDER BY g.gate, g.wave, g.seq DESC
""")

_PLANS = text("""
SELECT DISTINCT ON (p.wave) p.plan_id, p.wave, p.state, p.created_at, p.begun_at IS NOT NULL AS is_begun,
       EXISTS (SELECT FROM plan u WHERE u.project_id = p.project_id AND u.target = p.target AND u.wave = p.wave
         AND u.kind = 'undo' AND u.begun_at > p.begun_at) AS is_taken_back,
       p.inputs->'sources' AS sources, p.inputs->'rules' AS rules, a.person AS approved_by, a.at AS approved_at
FROM plan p LEFT JOIN LATERAL (
    SELECT person, at FROM approval
    WHERE plan_id = p.plan_id AND plan_hash = p.plan_hash ORDER BY seq DESC LIMIT 1
) a ON true
WHERE p.project_id = :project AND p.target = :target AND p.state <> 'draft'
  AND p.kind IN ('load', 'delta', 'retry') ORDER BY p.wave, p.seq DESC
""")

_PEOPLE = text("SELECT count(*) FROM person WHERE project_id = :project AND revoked_at IS NULL")


def facts(journal: Journal, target: str) -> Facts:
    """The facts of a project; judgements of a verification count for the target that it read.

    Args:
        journal: The project's.
        target: The target that is planned, loaded and verified.
    """
    parameters = {"project": journal.project_id, "target": target}
    with journal.transaction() as connection:
        return Facts(
            people=connection.execute(_PEOPLE, parameters).scalar_one(),
            runs=tuple(_run(row) for row in connection.execute(_RUNS, parameters).mappings()),
            judgements=_judgements(connection, parameters),
            plans=_plans(connection, parameters),
            decisions=tuple(decided(connection, journal.project_id)),
        )


def overrides(journal: Journal, gate: str, wave: str | None = None) -> tuple[Override, ...]:
    """The overrides of a gate, newest first, and whether each still counts.

    Args:
        journal: The project's.
        gate: The gate's name.
        wave: Of which wave it was judged; None: a gate of the whole rollout.
    """
    with journal.transaction() as connection:
        taken = decided(connection, journal.project_id)
        parameters = {"project": journal.project_id, "target": None}
        judgements = _judgements(connection, parameters) if taken else ()
    return overrides_of(f"{gate}/{wave}" if wave else gate, taken, judgements)


def judging_summary(journal: Journal, gate: str, wave: str) -> dict[str, Any] | None:
    """The summary of the run that judged a wave's gate last; None: nobody has, or that run did not end well."""
    newest = text("""
        SELECT r.summary FROM gate g JOIN run r USING (run_id)
        WHERE g.project_id = :project AND g.gate = :gate AND g.wave = :wave ORDER BY g.seq DESC LIMIT 1
    """)
    parameters = {"project": journal.project_id, "gate": gate, "wave": wave}
    with journal.transaction() as connection:
        summary = connection.execute(newest, parameters).scalar_one_or_none()
    return dict(summary) if summary else None


def _judgements(connection: Connection, parameters: Mapping[str, str | None]) -> tuple[Judgement, ...]:
    rows = connection.execute(_JUDGEMENTS, parameters).mappings()
    return tuple(Judgement.model_validate(dict(row)) for row in rows)


def _plans(connection: Connection, parameters: dict[str, str]) -> tuple[PlanFact, ...]:
    found = []
    for row in connection.execute(_PLANS, parameters).mappings():
        values = {name: row[name] for name in PlanFact.model_fields if name != "inputs"}
        found.append(PlanFact(**values, inputs={name: row[name] for name in RESTED_ON}))
    return tuple(found)


def _run(row: RowMapping) -> RunFact:
    values: dict[str, Any] = {name: row[name] for name in RunFact.model_fields}
    errors = str(row["errors"] or "")
    values["errors"] = int(errors) if errors.isdigit() else 0
    inputs = row["inputs"]
    values["inputs"] = {name: inputs.get(name) for name in RESTED_ON} if isinstance(inputs, dict) else None
    values["state"] = _state(row)
    return RunFact.model_validate(values)


def _state(row: RowMapping) -> RunState:
    """As recorded, unless the process that would have to end the run is gone from this host."""
    if row["state"] != "running" or row["host"] != platform.node():
        state: RunState = row["state"]
        return state
    try:
        began_s = psutil.Process(row["pid"]).create_time()
    except psutil.NoSuchProcess:
        return "interrupted"
    # Another process that was given the same number began after the run did; a second is the clocks' resolution.
    return "interrupted" if began_s > row["started_at"].timestamp() + 1 else "running"
