"""The laws of feeds over the ERP and WeCom, and over mutants of the ERP's: each law catches one, each is caught."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from rollout.connectors.base import ChangePage
from rollout.connectors.erp_testbed import ErpTestbedConnector
from rollout.connectors.messaging_wecom import WeComConnector
from rollout.connectors.testing.feeds import FEED_LAWS, FeedHarness
from rollout.connectors.testing.harness import LawBrokenError
from rollout.testbed.server import Testbed

Law = Callable[[FeedHarness], None]


class MissesTies(ErpTestbedConnector):
    """Goes on strictly after the time, whatever shares it."""

    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        page = super().changes(stream, cursor, overlap_s=overlap_s, limit=limit)
        told = json.loads(page.cursor)
        return replace(page, cursor=json.dumps(told | {"after": "\uffff"}))


class IgnoresOverlap(ErpTestbedConnector):
    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        return super().changes(stream, cursor, overlap_s=0, limit=limit)


class BeginsBehindTheBound(ErpTestbedConnector):
    """Reads on from after an instant, not from it."""

    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        return super().changes(stream, cursor, overlap_s=max(overlap_s - 0.001, 0), limit=limit)


class ForgetsCursor(ErpTestbedConnector):
    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        return super().changes(stream, None, overlap_s=0, limit=1000)


class AddsOverlapsUp(ErpTestbedConnector):
    """Counts the overlap back from where it stands, not from the latest it has seen."""

    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        page = super().changes(stream, cursor, overlap_s=overlap_s, limit=limit)
        told = json.loads(page.cursor)
        return replace(page, cursor=json.dumps(told | {"seen": told["at"]}))


class BeginsAtTheEnd(ErpTestbedConnector):
    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        page = super().changes(stream, cursor, overlap_s=overlap_s, limit=limit)
        return page if cursor else replace(page, records=())


class TakesAnyStream(ErpTestbedConnector):
    def changes(self, stream: str, cursor: str | None, *, overlap_s: float, limit: int) -> ChangePage:
        return super().changes("orders", cursor, overlap_s=overlap_s, limit=limit)


MUTANTS = (
    MissesTies,
    IgnoresOverlap,
    BeginsBehindTheBound,
    ForgetsCursor,
    AddsOverlapsUp,
    BeginsAtTheEnd,
    TakesAnyStream,
)


@pytest.fixture
def erp(testbed: Testbed) -> Iterator[Callable[..., FeedHarness]]:
    made: list[ErpTestbedConnector] = []
    ids: list[str] = []
    keeper = testbed.client()

    def make(kind: type[ErpTestbedConnector] = ErpTestbedConnector) -> FeedHarness:
        options = {"base_url": f"{testbed.base_url}/erp", "token": testbed.password}
        connector = kind(name="erp", options=options, base_dir=Path(), sleep=lambda _: None)
        made.append(connector)

        def add(count: int, instant: datetime) -> list[str]:
            at = instant.isoformat()
            new = [f"F{uuid.uuid4().hex[:10]}" for _ in range(count)]
            orders = [dict(connector.example("orders", id_, reference="X").values) | {"updated_at": at} for id_ in new]
            keeper.post("/erp/admin/orders", json=orders).raise_for_status()
            ids.extend(new)
            return new

        return FeedHarness(feed=connector, stream="orders", add=add)

    yield make
    if made:
        made[0].withdraw("orders", ids)
    for connector in made:
        connector.close()
    keeper.close()


@pytest.fixture
def wecom(testbed: Testbed) -> Iterator[FeedHarness]:
    options = {
        "base_url": f"{testbed.base_url}/wecom",
        "corp_id": "ww_testbed",
        "secret": testbed.password,
        "open_kfid": "wk_testbed",
        "simulated": True,
    }
    connector = WeComConnector(name="wecom", options=options, base_dir=Path(), sleep=lambda _: None)

    def add(count: int, _instant: datetime) -> list[str]:
        new = [f"F{uuid.uuid4().hex[:10]}" for _ in range(count)]
        connector.put("messages", [connector.example("messages", id_, reference=None) for id_ in new])
        return new

    yield FeedHarness(feed=connector, stream="messages", add=add, is_timed=False)
    connector.close()


def obeys(law: Law, harness: FeedHarness) -> bool:
    try:
        law(harness)
    except LawBrokenError:
        return False
    return True


@pytest.mark.parametrize("law", FEED_LAWS, ids=lambda law: law.__name__)
def test_the_erp_obeys(law, erp):
    law(erp())


@pytest.mark.parametrize("law", FEED_LAWS, ids=lambda law: law.__name__)
def test_wecom_obeys(law, wecom):
    law(wecom)


def test_each_mutant_is_caught_and_each_law_catches_one(erp):
    caught = {(mutant.__name__, law.__name__) for mutant in MUTANTS for law in FEED_LAWS if not obeys(law, erp(mutant))}
    assert {name for name, _ in caught} == {mutant.__name__ for mutant in MUTANTS}
    assert {name for _, name in caught} == {law.__name__ for law in FEED_LAWS}
