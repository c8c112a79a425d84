"""``prefect server …`` with the statement mended by which schedules make runs. Takes the same arguments.

Prefect's scheduler gives an INSERT of flow runs their ``state`` beside the columns. SQLAlchemy 2.0 passes over what is
no column; 2.1 asks the property what to do with it and, having no answer, refuses the statement: no schedule ever
starts a run, and only the server's log tells. The answer is given here. To be dropped once Prefect gives it itself
(tests/flows/test_schedules.py fails then, too).
"""

from __future__ import annotations

from typing import Any

from prefect.cli import app
from prefect.server.database.orm_models import FlowRun
from sqlalchemy import inspect
from sqlalchemy.ext.hybrid import hybrid_property


def mend() -> None:
    """Let a bulk INSERT of flow runs pass over ``state``, which the scheduler inserts by a statement of its own."""
    state: hybrid_property[Any] = inspect(FlowRun).all_orm_descriptors["state"]  # type: ignore[assignment]
    state.inplace.bulk_dml(_passed_over)


def _passed_over(_cls: type[FlowRun], _row: dict[str, Any], _value: object) -> None:
    """Leaves the row as it is."""


if __name__ == "__main__":
    mend()
    app()
