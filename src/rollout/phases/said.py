"""What people said about an entity's rows that decides what they become: cleansing heeds it, drift watches it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace

from rollout.cleanse.words import RowWord
from rollout.journal import dormant, pair_decisions, source_decisions
from rollout.journal.apart import apart
from rollout.journal.crypto import canonical_json
from rollout.journal.source_decisions import SourceDecision
from rollout.journal.store import Journal


@dataclass(frozen=True)
class Said:
    """Decisions about one entity's rows. Values people typed are in memory only; nothing here is logged."""

    apart: tuple[str, ...] = ()
    """Source keys of rows that a person made records of their own (`rollout unmerge`)."""

    rows: tuple[RowWord, ...] = ()
    """What was said about rows that were held back (`rollout quarantine import`)."""
    dormant: tuple[tuple[str, str], ...] = ()
    """Golden key, or `*` for all others, and what becomes of the dormant record (`rollout dormant decide`)."""

    pairs: tuple[tuple[str, str, str], ...] = ()
    """Source key, source key, and whether they are the `same` record or `different` ones (`rollout review import`)."""

    def __bool__(self) -> bool:
        return self != Said()

    @property
    def digest(self) -> str:
        """A hash of all of it; "" where nobody said anything."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest() if self else ""

    @property
    def about_rows(self) -> Said:
        """Without what decides about records once all of them are there."""
        return replace(self, dormant=())


NOTHING_SAID = Said()


def said(journal: Journal, entity: str) -> Said:
    """What people said about an entity's rows until now."""
    with journal.transaction() as connection:
        decisions = source_decisions.newest(connection, journal.project_id, entity, open_sealer=journal.sealer)
        pairs = pair_decisions.newest(connection, journal.project_id, entity)
        return Said(
            apart=apart(connection, journal.project_id, entity),
            rows=tuple(_word(decision) for decision in decisions.values()),
            pairs=tuple((*pair,) for pair in pair_decisions.about_rows(pairs)),
            dormant=tuple(dormant.newest(connection, journal.project_id, entity).items()),
        )


def _word(decision: SourceDecision) -> RowWord:
    return RowWord(
        decision.source_key,
        decision.row_hash,
        fields=tuple(sorted(decision.values.items())),
        left_out=decision.action == "leave_out",
    )
