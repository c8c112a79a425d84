"""What the journal is to be told of a batch's rows: their images sealed, their outcomes as lines.

Works on whole batches, for sealing them one by one costs more than the cipher does.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.journal.crypto import canonical_json
from rollout.journal.rows import Outcome
from rollout.load.machine import Decision, RowState
from rollout.load.remembering import after_image, base_entries, forgets
from rollout.load.work import LoadScope, Work, image_place
from rollout.model import masking
from rollout.model.entity import Values

MAX_MESSAGE = 500
"""Characters of a target's message that are kept."""


class Scribe:
    """Writes for one entity's load. Thread-safe: it keeps no state of its own."""

    def __init__(self, scope: LoadScope) -> None:
        self._scope = scope

    def note_before(self, works: Sequence[Work]) -> None:
        """Seal, on those rows whose record is known, how it is before the write."""
        known = [(work, work.record.values) for work in works if work.record is not None]
        if not known:
            return
        for (work, _), image in zip(known, self._sealed(known, "before"), strict=True):
            work.before_image = image

    def outcomes(self, decided: Sequence[tuple[Work, Decision]]) -> list[Outcome]:
        """The outcomes of rows that are decided, in their order, with what is stored now sealed."""
        own_login = self._scope.own_login
        held = [after_image(work, decision, own_login) for work, decision in decided]
        known = [(work, values) for (work, _), values in zip(decided, held, strict=True) if values is not None]
        sealed = iter(self._sealed(known, "after"))
        return [
            self._outcome(work, decision, None if values is None else next(sealed))
            for (work, decision), values in zip(decided, held, strict=True)
        ]

    def _outcome(self, work: Work, decision: Decision, after: bytes | None) -> Outcome:
        assert decision.state is not None
        scope = self._scope
        return Outcome(
            work.key,
            # A row that waits has had no attempt; where one was made, its line says so.
            0 if decision.state is RowState.WAITING and work.sent_s is None else work.attempt,
            decision.state.value,
            work.digest,
            work.before_image,
            after,
            decision.target_id,
            decision.reason_code,
            _tidy(decision.message, work) if decision.message else None,
            base_entries(work, decision, scope.fields, scope.fingerprint(work.key)),
            forgets(work, decision),
        )

    def _sealed(self, values: Sequence[tuple[Work, Values]], kind: str) -> list[bytes]:
        plan_id, entity, step = self._scope.plan.plan_id, self._scope.entity, self._scope.states.step
        return self._scope.sealer.seal_all(
            [canonical_json(held) for _, held in values],
            [image_place(plan_id, entity, work.key, work.attempt, kind, step=step) for work, _ in values],
        )


def _tidy(message: str, work: Work) -> str | None:
    """A target's message without the row's own values, which may be personal, and without what a database refuses."""
    for value in sorted({value for value in work.new.values() if value and len(value) > 1}, key=len, reverse=True):
        message = message.replace(value, "…")
    return masking.mask_text(message.replace("\x00", ""))[:MAX_MESSAGE] or None
