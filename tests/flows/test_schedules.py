"""Schedules make runs: the statement by which Prefect's scheduler makes them, as the server of `make ui` runs it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import prefect_server
import pytest
from prefect.server.database.orm_models import Base, Flow, FlowRun
from prefect.server.schemas.states import Scheduled
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of Prefect's own types


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A database of Prefect's tables, and its models as Prefect has them."""
    monkeypatch.setattr(inspect(FlowRun).all_orm_descriptors["state"], "bulk_dml_setter", None)
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine, tables=[Flow.__table__, FlowRun.__table__])
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def schedule(session: Session) -> UUID:
    """Insert a run as the scheduler does: its state beside the columns."""
    run = {"id": uuid4(), "flow_id": uuid4(), "name": "nightly", "state": Scheduled().model_dump(), "tags": []}
    session.execute(insert(FlowRun).on_conflict_do_nothing(), [run])
    return run["id"]


def test_the_scheduler_s_statement_makes_runs(session):
    prefect_server.mend()
    made = schedule(session)
    assert session.execute(select(FlowRun.id, FlowRun.name)).all() == [(made, "nightly")]


def test_prefect_still_needs_the_mending(session):
    with pytest.raises(InvalidRequestError, match="bulk_dml"):
        schedule(session)
