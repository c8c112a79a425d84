"""Plans of hand-made rows, carried out as the phases do it: what they are made by is tested elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import text

from rollout.journal.crypto import canonical_json
from rollout.journal.plans import Plans, StoredRow
from rollout.load.plan import PlannedRow
from rollout.load.runner import EntityLoad
from rollout.load.work import row_place
from rollout.phases.leases import working_on
from rollout.phases.settle import load_scope, settle_open_lines


def make_plan(bench, rows: Mapping[str, Sequence[PlannedRow]], *, kind: str = "undo") -> str:
    """Put a plan of these rows, by entity and in this order, into the journal."""
    journal = bench.context.journal
    plans, sealer = Plans(journal.project_id), journal.new_data_key()
    with journal.transaction() as connection:
        plan_id = plans.create(connection, target="test", wave="all", key_id=sealer.key_id, kind=kind)
        for entity, planned in rows.items():
            stored = []
            for ordinal, row in enumerate(planned):
                payload = canonical_json(row.payload())
                sealed = sealer.seal_json(payload, row_place(plan_id, entity, row.migration_key))
                digest = sealer.digest(payload)
                stored.append(
                    StoredRow(ordinal, row.migration_key, row.golden_key, row.action, row.reason_code, digest, sealed)
                )
            plans.add_rows(connection, plan_id, entity, stored)
        plans.seal(
            connection,
            plan_id,
            plan_hash="made by hand",
            inputs={"order": list(rows)},
            counts={entity: dict(Counter(row.action.value for row in planned)) for entity, planned in rows.items()},
            estimate={},
        )
    return plan_id


def carry_out(bench, plan_id: str, *, batch_rows: int = 200, concurrency: int = 1) -> Counter[str]:
    """Take every row of a plan to an outcome; what this run decided."""
    context, decided = bench.context, Counter[str]()
    target_name, _, target = context.target("load")
    with working_on(context, target_name, target) as lease, context.journal.running("undo") as run:
        settle_open_lines(context, target_name, target, lease, but=plan_id)
        with context.journal.transaction() as connection:
            plan = Plans(context.journal.project_id).get(connection, plan_id)
        for entity in plan.order:
            load = EntityLoad(
                load_scope(context, plan, entity, target, lease=lease, run_id=run.run_id, max_attempts=3),
                batch_rows=batch_rows,
                concurrency=concurrency,
                max_conflict_share=1.0,
                advance=lambda _: None,
            )
            load.run()
            decided.update({state.value: count for state, count in load.states.items()})
    return decided


def lines(bench, plan_id: str) -> dict[str, tuple[str, str | None]]:
    """(state, reason) of each row's newest line, by migration key."""
    with bench.context.journal.transaction() as connection:
        rows = connection.execute(
            text(
                "SELECT DISTINCT ON (migration_key) migration_key, state, reason_code FROM row_state"
                " WHERE plan_id = :plan ORDER BY migration_key, step DESC, attempt DESC"
            ),
            {"plan": plan_id},
        )
        return {row.migration_key: (row.state, row.reason_code) for row in rows}


def known(bench, entity: str = "account") -> dict[str, dict[str, str]]:
    """The merge bases of the records that we know in the target, by migration key."""
    with bench.context.journal.transaction() as connection:
        rows = connection.execute(
            text("SELECT migration_key, base FROM target_record WHERE entity = :entity"), {"entity": entity}
        )
        return {row.migration_key: row.base for row in rows}
