"""What a suite of expectations answered, as plain data. Values stay out of it: only row keys leave a suite."""

from __future__ import annotations

from rollout.model.base import Frozen


class ExpectationOutcome(Frozen):
    """One expectation's answer."""

    check: str
    """Its type and column, such as `values_to_be_unique:_migration_key`; unique within the suite."""
    severity: str
    """`critical` counts for the gate; `warning` and `info` are shown."""
    success: bool | None
    """None: it could not be evaluated, which is never a success."""
    evidence: int
    """Values (or rows) it looked at."""
    unexpected: int = 0
    """Values that broke it."""
    keys: tuple[str, ...] = ()
    """Keys of some of the rows that broke it."""
    message: str = ""


class SuiteResult(Frozen):
    """A guarded run of a suite: declared = kept = evaluated > 0, over at least one row."""

    suite: str
    rows: int
    declared: int
    outcomes: tuple[ExpectationOutcome, ...] = ()
    not_applicable: tuple[str, ...] = ()
    """Shared expectations left out because the entity has no such field."""

    @property
    def conclusive(self) -> bool:
        """Whether the suite answered every question, on evidence."""
        return (
            self.rows > 0
            and len(self.outcomes) == self.declared > 0
            and all(outcome.success is not None for outcome in self.outcomes)
        )

    @property
    def evidence(self) -> int:
        """Expectations that had at least one value to look at."""
        return sum(outcome.evidence > 0 for outcome in self.outcomes)

    @property
    def failed(self) -> tuple[ExpectationOutcome, ...]:
        """Expectations of severity critical that were broken."""
        return tuple(
            outcome for outcome in self.outcomes if outcome.success is False and outcome.severity == "critical"
        )

    @property
    def passed(self) -> bool:
        """Whether it is conclusive and nothing critical was broken. Never on no evidence."""
        return self.conclusive and not self.failed and self.evidence > 0
