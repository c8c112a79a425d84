"""A context lets go of everything, whatever goes wrong meanwhile."""

from __future__ import annotations

import pytest

from rollout.phases.context import PhaseContext


class Closed:
    """A journal or connector that remembers that it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Stuck(Closed):
    def close(self) -> None:
        super().close()
        raise OSError("stuck")


def test_a_connector_that_cannot_be_closed_keeps_nothing_else_open():
    journal, before, stuck, after = Closed(), Closed(), Stuck(), Closed()
    with (
        pytest.raises(OSError, match="stuck"),
        PhaseContext(project=None, journal=journal, _connectors={"a": before, "b": stuck, "c": after}),
    ):
        pass
    assert [one.is_closed for one in (journal, before, stuck, after)] == [True] * 4
