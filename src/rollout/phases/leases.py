"""The leases that keep phases out of each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rollout.journal.leases import Lease, hold
from rollout.phases.context import PhaseContext, TargetConnector

PREPARE = "cleanse"
"""Held while the golden records and the ledger are made, and while anybody relies on them."""


@contextmanager
def working_on(context: PhaseContext, target_name: str, target: TargetConnector) -> Iterator[Lease]:
    """The lease under which a target is planned or loaded, one at a time, on golden records that stay as they are.

    Raises:
        LeaseHeld: Somebody else plans, loads or cleanses; the message says who.
    """
    with (
        hold(context.journal, PREPARE),
        hold(context.journal, f"load {target_name}", longest_call_s=target.capabilities.call_timeout_s) as lease,
    ):
        yield lease
