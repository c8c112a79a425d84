"""The records a load test leaves in the CRM: read back to see whether they were stored, then removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, cast

from rollout.capacity.recording import Stored
from rollout.connectors.base import Connector, Remover, TargetReader
from rollout.errors import ConfigError, Fatal, RolloutError
from rollout.phases.context import PhaseContext, Progress, shown

PREFIX = "loadtest:"
"""Begins the migration key of everything that any load test stores."""
ENTITIES = ("followup", "account")
"""Entities that a load test may store, those that refer to others first: the order in which they can be removed."""
ROUNDS = 3
"""A request that was under way when the test was ended may be stored after the first look."""


class LoadTestTarget(Connector, TargetReader, Remover, Protocol):
    """A CRM that can be tested under load: what is stored can be read back and removed."""


def target_of(context: PhaseContext, system: str) -> LoadTestTarget:
    """The connector of a system, in the system's own names. Raises ConfigError if nothing could be removed from it."""
    connector = context.connector(system)
    if not isinstance(connector, TargetReader) or not isinstance(connector, Remover):
        raise ConfigError(
            f"system '{system}' cannot be tested under load: its connector cannot remove what the test stores",
            where=f"systems.{system}",
            hint="name a target whose connector implements `Remover`",
        )
    return cast("LoadTestTarget", connector)


def not_found(target: LoadTestTarget, stored: Sequence[Stored], progress: Progress) -> list[str]:
    """Keys of the records that the CRM said it stored and does not show exactly once, with what was sent.

    Raises:
        Retryable: The CRM cannot be reached.
    """
    by_entity: dict[str, dict[str, Stored]] = defaultdict(dict)
    for record in stored:
        by_entity[record.entity][record.key] = record
    lost = []
    step = target.capabilities.max_read_keys
    with shown(progress, "read back", len(stored), "records"):
        for entity, records in by_entity.items():
            keys = list(records)
            for first in range(0, len(keys), step):
                asked = keys[first : first + step]
                found = target.read_by_keys(entity, asked)
                for key in asked:
                    values = [record.values.get(records[key].field) for record in found.get(key, ())]
                    if values != [records[key].value]:
                        lost.append(key)
                progress.advance(len(asked))
    return lost


@dataclass
class Removal:
    """What was removed of a load test, and what could not be."""

    removed: int = 0
    left: int = 0
    problem: str = ""
    """Why something is left, or may be."""


def remove(target: LoadTestTarget, entities: Sequence[str], prefix: str, progress: Progress) -> Removal:
    """Remove every record whose migration key begins with ``prefix``, and look whether it is gone.

    Problems are told in the answer: what a test measured is worth keeping even when its records are still there.
    """
    done = Removal()
    with shown(progress, "remove test records", None, "records"):
        for entity in entities:
            try:
                left = _ids(target, entity, prefix)
                for _ in range(ROUNDS):
                    if not left:
                        break
                    done.problem = _delete(target, entity, left, progress) or done.problem
                    before, left = left, _ids(target, entity, prefix)
                    done.removed += len(set(before) - set(left))
                done.left += len(left)
            except RolloutError as error:
                done.problem = str(error)
    return done


def _ids(target: LoadTestTarget, entity: str, prefix: str) -> list[str]:
    return [record.target_id for record in target.read_by_key_prefix(entity, prefix)]


def _delete(target: LoadTestTarget, entity: str, ids: Sequence[str], progress: Progress) -> str:
    """Delete records, as many at once as the target allows; answers why one was refused, if any was."""

    def refused(target_id: str) -> str:
        try:
            target.delete(entity, [target_id])
        except Fatal as error:
            return str(error)
        progress.advance(1)
        return ""

    pool = ThreadPoolExecutor(target.capabilities.concurrency)
    try:
        return next((problem for problem in list(pool.map(refused, ids)) if problem), "")
    finally:
        pool.shutdown(cancel_futures=True)
