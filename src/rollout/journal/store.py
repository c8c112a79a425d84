"""The journal of one project: runs, findings, gates, the audit trail, and the doors to its other parts."""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, desc, func, insert, select, update

import rollout
from rollout.errors import ConfigError, RolloutError
from rollout.journal import audit_trail, engine, schema
from rollout.journal.crypto import KeyRing, Sealer
from rollout.journal.data_keys import DataKeys
from rollout.journal.ledger import Ledger, LedgerRow
from rollout.model.finding import Finding
from rollout.model.outcome import Accounting
from rollout.model.verdict import GateResult

DEFAULT_WAVE = "all"


def utc_now() -> datetime:
    """The clock of real runs."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class RunRecord:
    """One run of a phase."""

    run_id: str
    phase: str
    entity: str | None
    wave: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    summary: dict[str, Any]


class Journal:
    """The journal of one project in one database. Thread-safe; close it when done.

    Args:
        database: Up to date, see :func:`rollout.journal.engine.upgrade`.
        project_id: Whose rows are read and written.
        keys: What data keys are wrapped with.
        clock: Aware UTC; says when runs begin and end and gates are judged. Leases use the database's own clock.
    """

    def __init__(
        self, database: Engine, project_id: str, keys: KeyRing, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.database = database
        self.project_id = project_id
        self.keys = keys
        self.clock = clock
        self._data_keys = DataKeys(project_id, keys)

    @classmethod
    def open(cls, url: str, *, project_id: str, keys: KeyRing, clock: Callable[[], datetime] = utc_now) -> Journal:
        """Connect and bring the schema up to date. Raises Retryable when the database is down."""
        database = engine.connect(url)
        try:
            engine.upgrade(database)
        except BaseException:
            database.dispose()  # nobody else could: who called gets no journal to close
            raise
        return cls(database, project_id, keys, clock=clock)

    def close(self) -> None:
        """Release the connections."""
        self.database.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that commits at the end."""
        with engine.transaction(self.database) as connection:
            yield connection

    # Runs and what they found

    def start_run(self, phase: str, *, entity: str | None = None, wave: str = DEFAULT_WAVE) -> str:
        """Record that a phase begins; answers the run's id."""
        run_id = uuid.uuid4().hex
        with self.transaction() as connection:
            connection.execute(
                insert(schema.run).values(
                    run_id=run_id,
                    project_id=self.project_id,
                    phase=phase,
                    entity=entity,
                    wave=wave,
                    state="running",
                    started_at=self.clock(),
                    host=platform.node(),
                    pid=os.getpid(),
                    code_version=rollout.__version__,
                    summary={},
                )
            )
        return run_id

    def finish_run(self, run_id: str, *, state: str, summary: Mapping[str, Any]) -> None:
        """Record how a run ended. ``summary`` is JSON without personal data: reports are written from it."""
        with self.transaction() as connection:
            connection.execute(
                update(schema.run)
                .where(schema.run.c.run_id == run_id)
                .values(state=state, ended_at=self.clock(), summary=dict(summary))
            )

    @contextmanager
    def running(self, phase: str, *, entity: str | None = None, wave: str = DEFAULT_WAVE) -> Iterator[RunHandle]:
        """A run that ends as `completed` with the handle's summary, or as `failed` with the error."""
        handle = RunHandle(self.start_run(phase, entity=entity, wave=wave))
        try:
            yield handle
        except BaseException as error:
            with contextlib.suppress(
                RolloutError
            ):  # the database may be what failed: the first error is the one to tell
                self.finish_run(handle.run_id, state="failed", summary={"error": str(error) or type(error).__name__})
            raise
        self.finish_run(handle.run_id, state="completed", summary=handle.summary)

    def latest_run(self, phase: str, *, state: str = "completed") -> RunRecord | None:
        """The newest run of a phase in a state."""
        table = schema.run
        query = (
            select(table)
            .where(table.c.project_id == self.project_id, table.c.phase == phase, table.c.state == state)
            .order_by(desc(table.c.seq))
            .limit(1)
        )
        with self.transaction() as connection:
            row = connection.execute(query).mappings().first()
        return _run_record(row) if row else None

    def add_findings(self, run_id: str, findings: Sequence[Finding]) -> None:
        """Add findings to a run."""
        if not findings:
            return
        table = schema.finding
        with self.transaction() as connection:
            first: int = connection.execute(
                select(func.coalesce(func.max(table.c.seq) + 1, 0)).where(table.c.run_id == run_id)
            ).scalar_one()
            connection.execute(
                insert(table),
                [
                    {
                        "run_id": run_id,
                        "seq": first + offset,
                        "id": finding.id,
                        "level": finding.level.value,
                        "body": finding.model_dump(mode="json"),
                    }
                    for offset, finding in enumerate(findings)
                ],
            )

    def findings(self, run_id: str) -> list[Finding]:
        """The findings of a run, in the order they were added."""
        query = select(schema.finding.c.body).where(schema.finding.c.run_id == run_id).order_by(schema.finding.c.seq)
        with self.transaction() as connection:
            return [Finding.model_validate(body) for body in connection.execute(query).scalars()]

    def record_gate(self, run_id: str, result: GateResult, *, wave: str = DEFAULT_WAVE) -> None:
        """Record a judged gate."""
        with self.transaction() as connection:
            connection.execute(
                insert(schema.gate).values(
                    project_id=self.project_id,
                    run_id=run_id,
                    gate=result.gate,
                    wave=wave,
                    verdict=result.verdict.value,
                    result=result.model_dump(mode="json"),
                    judged_at=self.clock(),
                )
            )

    def latest_gate(self, gate: str, *, wave: str | None = None) -> GateResult | None:
        """The newest judgement of a gate, of a wave (None: of any)."""
        table = schema.gate
        query = (
            select(table.c.result)
            .where(
                table.c.project_id == self.project_id,
                table.c.gate == gate,
                *([table.c.wave == wave] if wave is not None else []),
            )
            .order_by(desc(table.c.seq))
            .limit(1)
        )
        with self.transaction() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return GateResult.model_validate(body) if body is not None else None

    def audit(self, who: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append to the hash-chained audit trail."""
        with self.transaction() as connection:
            audit_trail.append(connection, self.project_id, who, action, subject, dict(detail or {}))

    # Sealing

    def new_data_key(self, purpose: str = "plan") -> Sealer:
        """A sealer under a new data key, which is kept wrapped."""
        with self.transaction() as connection:
            return self._data_keys.create(connection, purpose)

    def ledger_sealer(self) -> Sealer:
        """The sealer whose digests last as long as the project."""
        with self.transaction() as connection:
            return self._data_keys.ledger(connection)

    def sealer(self, key_id: str) -> Sealer:
        """The sealer of an existing data key. Raises ConfigError when it was destroyed or cannot be unwrapped."""
        with self.transaction() as connection:
            return self._data_keys.open(connection, key_id)

    def sealer_if_kept(self, key_id: str) -> Sealer | None:
        """Opens what a plan sealed; None once its time is over and its key destroyed, or where the key is not at hand.

        For what only adds detail: whatever cannot do without asks :meth:`sealer`.
        """
        try:
            return self.sealer(key_id)
        except ConfigError:
            return None

    # Ledger and crosswalk

    def replace_ledger(
        self,
        entity: str,
        rows: Iterable[LedgerRow],
        *,
        source_rows: Mapping[str, int],
        ordinal: int = 0,
        run_id: str | None = None,
    ) -> None:
        """Record where each source row of an entity is now, in place of what was recorded before.

        ``source_rows`` counts them by wave. ``run_id`` is the cleansing that says so: a plan is only made when all
        entities' ledgers are of the same one.
        """
        with self.transaction() as connection:
            Ledger(self.project_id).replace(
                connection, entity, rows, source_rows=source_rows, ordinal=ordinal, run_id=run_id
            )

    def forget_ledger_but(self, entities: Sequence[str]) -> None:
        """Forget where the rows of entities went that the project no longer has."""
        with self.transaction() as connection:
            Ledger(self.project_id).forget_but(connection, entities)

    def accounting(self, target: str | None = None, *, wave: str | None = None) -> list[Accounting]:
        """The conservation table: one line an entity, in ledger order, after the latest load into the target.

        Of one wave, or of all together, each after its own latest load.
        """
        with self.transaction() as connection:
            return Ledger(self.project_id).accounting(connection, target, wave=wave)

    def ledger_runs(self) -> dict[str, str | None]:
        """The cleansing that each entity's ledger is of."""
        with self.transaction() as connection:
            return Ledger(self.project_id).runs(connection)


class RunHandle:
    """The run under way, inside :meth:`Journal.running`."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.summary: dict[str, Any] = {}


def _run_record(row: Mapping[Any, Any]) -> RunRecord:
    return RunRecord(**{name: row[name] for name in RunRecord.__dataclass_fields__})
