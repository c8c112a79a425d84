"""Errors, named by what the caller should do.

::

    RolloutError
    ├── ConfigError            fix the project, the input or the command, then run again      exit 2
    │   ├── ApprovalError      have the plan approved (again)                                 exit 2
    │   └── DriftError         the approved plan no longer fits; plan anew                    exit 2
    ├── Retryable              the same call may succeed later; obey retry_after_s            exit 3
    │   └── LeaseHeld          somebody else is at it; wait for them                          exit 3
    ├── Fatal                  the outside system refuses for good; stop the run              exit 3
    ├── RowRejected            one row was refused; the others go on                          (a row's outcome)
    ├── OutcomeUnknown         the call may have landed; probe before anything is sent again  (a row's outcome)
    └── UnsupportedOperation   this connector cannot do that; ask its capabilities first      exit 2

Every message is written for the user: what happened, where, and what to do next (``hint``).
"""

from __future__ import annotations


class RolloutError(Exception):
    """Base of all errors that a user is meant to read.

    Args:
        message: What happened, in one sentence.
        where: File and line, row key or field, such as ``rollout.yaml:12``.
        hint: What to do next.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """One line: where, what, and what to do next."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text} → {self.hint}" if self.hint else text


class ConfigError(RolloutError):
    """The project, its input or the command is wrong; nothing was changed."""


class ApprovalError(ConfigError):
    """There is no valid approval for what was asked."""


class DriftError(ConfigError):
    """Source, mapping, rules or target schema changed since the plan was made."""


class Retryable(RolloutError):  # noqa: N818 - named by what the caller does, as the design lists it
    """The same call may succeed later.

    Args:
        retry_after_s: Seconds the other side asked us to wait, if it said so.
    """

    exit_code = 3

    def __init__(self, message: str, *, where: str = "", hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after_s = retry_after_s


class LeaseHeld(Retryable):
    """Another process works on the same thing."""


class Fatal(RolloutError):  # noqa: N818
    """The outside system refuses for good (credentials, permissions, a wrong address)."""

    exit_code = 3


class RowRejected(RolloutError):  # noqa: N818
    """The target refused one row.

    Args:
        reason_code: A code of the documented taxonomy, such as ``required_missing``.
    """

    def __init__(self, message: str, *, reason_code: str, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.reason_code = reason_code


class OutcomeUnknown(RolloutError):  # noqa: N818
    """No answer, or one that cannot be trusted: the call may have landed."""

    exit_code = 3


class UnsupportedOperation(RolloutError):  # noqa: N818
    """The connector's capabilities do not include this."""
