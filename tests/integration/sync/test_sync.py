"""Orders and messages arrive in the CRM once each, whatever goes wrong on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rollout.connectors.base import ChangePage, WriteRow
from rollout.errors import ConfigError, Fatal, LeaseHeld
from rollout.journal.leases import hold
from rollout.phases.sync import dead_letters, run_sync, sync_status
from rollout.project.spec import ProjectSpec
from rollout.testbed.fault_kinds import Fault


def with_sync(bench, name: str, **changed: object) -> ProjectSpec:
    """The bench's project with a sync declared otherwise."""
    spec = bench.context.project.spec.model_dump()
    spec["integration"]["syncs"][name] |= changed
    return ProjectSpec.model_validate(spec)


def test_orders_arrive_with_their_customer_and_a_second_run_changes_nothing(bench):
    bench.erp.put("orders", [bench.order(n, amount=f"{n}.5") for n in range(12)])  # three pages
    first = bench.sync("orders").syncs["orders"]
    assert (first.read, first.created, first.dead, first.stopped) == (12, 12, 0, None)
    held = bench.held()
    assert len(held) == 12
    assert held[f"{bench.tag}-3"]["amount"] == "3.5"
    assert held[f"{bench.tag}-3"]["product"] == "虚构测试产品"
    assert held[f"{bench.tag}-3"]["account"].startswith("A-")
    again = bench.sync("orders").syncs["orders"]
    assert (again.created, again.updated, again.unchanged, again.overwrote) == (0, 0, 12, 0)  # the overlap
    assert again.cursor == first.cursor
    assert bench.held() == held


def test_a_change_in_the_erp_is_carried_and_a_persons_edit_of_it_is_put_back_and_counted(bench):
    bench.erp.put("orders", [bench.order(1), bench.order(2)])
    bench.sync("orders")
    bench.erp.put("orders", [bench.order(1, amount="99")])
    assert bench.sync("orders").syncs["orders"].updated == 1
    assert bench.held()[f"{bench.tag}-1"]["amount"] == "99"
    bench.edit(2, amount="1")
    figures = bench.sync("orders").syncs["orders"]
    assert (figures.updated, figures.overwrote) == (1, 1)
    assert bench.held()[f"{bench.tag}-2"]["amount"] == "12850.5"


def test_an_order_committed_late_with_an_early_time_is_not_missed(bench):
    bench.erp.put("orders", [bench.order(1)])
    bench.sync("orders")
    bench.put_late(2, seconds_ago=60)
    assert bench.sync("orders").syncs["orders"].created == 1
    assert len(bench.held()) == 2


@pytest.mark.parametrize("overlap_s", [0, 300])
def test_an_order_dated_in_the_future_hides_none_that_follow(bench, make_bench, overlap_s):
    """One wrong clock, once, must not keep the sync from every order until then."""
    bench = make_bench(with_sync(bench, "orders", overlap_s=overlap_s))
    bench.put_late(1, seconds_ago=-3600 * 24 * 365)
    assert bench.sync("orders").syncs["orders"].created == 1
    for number in (2, 3):
        bench.erp.put("orders", [bench.order(number, amount="-0")])
        figures = bench.sync("orders").syncs["orders"]
        assert (figures.created, figures.updated, figures.stopped) == (1, 0, None)
    assert len(bench.held()) == 3


def test_without_overlap_it_would_be_missed(bench, make_bench):
    """The mutant of the test above: what the overlap is for."""
    bench = make_bench(with_sync(bench, "orders", overlap_s=0))
    bench.erp.put("orders", [bench.order(1)])
    bench.sync("orders")
    bench.put_late(2, seconds_ago=60)
    assert bench.sync("orders").syncs["orders"].created == 0


def test_what_is_older_than_what_was_carried_never_overwrites_it(bench):
    bench.erp.put("orders", [bench.order(1, amount="2")])
    bench.sync("orders")
    bench.erp.withdraw("orders", [f"{bench.tag}-1"])
    bench.put_late(1, seconds_ago=60)  # the same order as it once was, with another amount
    figures = bench.sync("orders").syncs["orders"]
    assert (figures.stale, figures.updated) == (1, 0)
    assert bench.held()[f"{bench.tag}-1"]["amount"] == "2"


def test_an_unknown_customer_makes_a_dead_letter_that_is_carried_once_the_customer_is_loaded(bench):
    bench.erp.put("orders", [bench.order(1, customer_no="NOBODY"), bench.order(2)])
    first = bench.sync("orders").syncs["orders"]
    assert (first.created, first.dead, first.stopped) == (1, 1, None)
    (letter,) = dead_letters(bench.context)
    assert (letter.reason_code, letter.attempts) == ("customer_unknown", 1)
    assert bench.sync("orders").syncs["orders"].dead == 1
    assert dead_letters(bench.context)[0].attempts == 2
    bench.load_customer("NOBODY")
    done = bench.sync("orders").syncs["orders"]
    assert (done.created, done.resolved, done.dead) == (1, 1, 0)
    assert sync_status(bench.context)["orders"].dead_letters == {}
    assert len(bench.held()) == 2


def test_a_rejected_order_is_a_dead_letter_sealed_and_the_others_go_on(bench):
    bench.erp.put("orders", [bench.order(1, status="不存在的状态"), bench.order(2)])
    figures = bench.sync("orders").syncs["orders"]
    assert (figures.created, figures.dead) == (1, 1)
    assert dead_letters(bench.context)[0].reason_code == "not_in_picklist"
    with bench.context.journal.database.begin() as connection:
        (payload,) = connection.exec_driver_sql("SELECT payload FROM dead_letter").one()
    assert "不存在的状态".encode() not in bytes(payload)
    bench.erp.put("orders", [bench.order(1)])  # put right in the ERP
    assert bench.sync("orders").syncs["orders"].resolved == 1


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.TOO_MANY_REQUESTS])
def test_a_lost_or_refused_answer_doubles_nothing(bench, fault):
    bench.erp.put("orders", [bench.order(n) for n in range(8)])
    bench.testbed.inject("order/batch", fault)
    figures = bench.sync("orders").syncs["orders"]
    assert (figures.created, figures.unknown, figures.stopped) == (8, 0, None)
    assert sorted(bench.held()) == sorted(f"{bench.tag}-{n}" for n in range(8))


def test_answers_that_stay_lost_leave_the_cursor_where_it_was_and_the_next_run_finds_what_landed(bench):
    bench.erp.put("orders", [bench.order(1)])
    bench.sync("orders")
    cursor = sync_status(bench.context)["orders"].cursor
    bench.erp.put("orders", [bench.order(2)])
    lost, crm = [], bench.context.connector("crm")
    write = crm.write

    def nothing_known(entity: str, rows: list[WriteRow]):
        from rollout.errors import OutcomeUnknown

        lost.append(rows)
        raise OutcomeUnknown("lost")

    crm.write = nothing_known
    figures = bench.sync("orders").syncs["orders"]
    crm.write = write
    assert len(lost) == 3
    assert figures.unknown == 1
    assert figures.stopped is not None
    assert sync_status(bench.context)["orders"].cursor == cursor
    assert bench.sync("orders").syncs["orders"].created == 1


def test_a_system_that_does_not_answer_stops_its_sync_alone(bench):
    bench.testbed.inject("erp/orders", Fault.UNAVAILABLE, times=4)  # as often as a read is tried
    bench.scripted("wecom").put("messages", [bench.message(1)])
    summary = bench.sync()
    assert summary.complete is False
    assert "503" in summary.syncs["orders"].stopped
    assert summary.syncs["messages"].stopped is None
    assert f"{bench.tag}-1" in bench.held("message", "wecom:")


def test_a_message_arrives_once_also_when_it_is_read_again(bench):
    bench.scripted("wecom").put("messages", [bench.message(1)])
    bench.sync("messages")
    with bench.context.journal.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM sync_cursor")
    bench.scripted("wecom").put("messages", [bench.message(1)])
    assert bench.sync("messages").syncs["messages"].created == 0
    held = bench.held("message", "wecom:")
    assert list(held) == [f"{bench.tag}-1"]
    assert held[f"{bench.tag}-1"]["channel"] == "微信客服"


@pytest.mark.parametrize("around", [" ", "\r\n", "\u3000"])
def test_white_space_that_the_crm_trims_is_no_difference(bench, around):
    """What people type in a chat begins and ends with it; nobody in the CRM has edited such a message."""
    written = bench.message(1)
    text = f"{around}你好{around}"
    bench.scripted("wecom").put("messages", [replace(written, values={**written.values, "text": text})])
    assert bench.sync("messages").syncs["messages"].created == 1
    assert bench.held("message", "wecom:")[f"{bench.tag}-1"]["text"] == "你好"
    with bench.context.journal.database.begin() as connection:
        connection.exec_driver_sql("UPDATE sync_cursor SET cursor = ''")  # read again
    again = bench.sync("messages").syncs["messages"]
    assert (again.updated, again.overwrote) == (0, 0)


def test_a_sync_that_fails_at_every_second_page_is_not_up_to_date(bench):
    """It reads the overlap and gets on a page each time; the health check must not take that for getting through.

    Nor must the overlap, whose first page ends where the run before had stopped, keep the sync there for good.
    """
    bench.erp.put("orders", [bench.order(n) for n in range(8)])  # two pages
    erp = bench.context.connector("erp")
    changes = erp.changes

    def only_the_first_page(*args, **options):
        if erp.pages:
            raise Fatal("the second page is not to be had")
        erp.pages += 1
        return changes(*args, **options)

    erp.changes = only_the_first_page
    for _ in range(2):
        erp.pages = 0
        assert bench.sync("orders").syncs["orders"].stopped is not None
        assert sync_status(bench.context)["orders"].advanced_at is None
    erp.changes = changes
    assert bench.sync("orders").syncs["orders"].stopped is None
    assert len(bench.held()) == 8
    got_through_at = sync_status(bench.context)["orders"].advanced_at
    assert got_through_at is not None
    erp.changes, erp.pages = only_the_first_page, 0
    assert bench.sync("orders").syncs["orders"].stopped is not None
    assert sync_status(bench.context)["orders"].advanced_at == got_through_at


def test_a_feed_that_promises_more_and_stands_still_is_said_to(bench):
    bench.erp.put("orders", [bench.order(1)])
    bench.sync("orders")
    erp = bench.context.connector("erp")
    erp.changes = lambda _, cursor, **__: ChangePage((), cursor, has_more=True)
    assert "does not get on" in bench.sync("orders").syncs["orders"].stopped


def test_lateness_is_counted_but_not_for_the_first_reading(make_bench):
    ahead = [timedelta()]
    bench = make_bench(clock=lambda: datetime.now(UTC) + ahead[0])
    bench.load_customer()
    ahead[0] = timedelta(hours=2)
    bench.erp.put("orders", [bench.order(1)])
    assert bench.sync("orders").syncs["orders"].late == 0
    bench.erp.put("orders", [bench.order(2)])
    assert bench.sync("orders").syncs["orders"].late == 1


def test_one_sync_at_a_time(bench):
    with hold(bench.context.journal, "sync test"), pytest.raises(LeaseHeld):
        bench.sync()


def test_fields_that_do_not_exist_are_a_configuration_error(bench, make_bench):
    bench = make_bench(with_sync(bench, "orders", fields={"amount": "ammount", "produkt": "product"}))
    with pytest.raises(ConfigError, match=r"no field 'produkt' of the CRM's order, no field 'ammount'") as error:
        bench.sync("orders")
    assert error.value.where == "integration.syncs.orders"


def test_unknown_names_and_a_missing_section_say_what_to_do(bench, make_bench):
    with pytest.raises(ConfigError, match="no sync 'invoices'"):
        bench.sync("invoices")
    spec = ProjectSpec.model_validate(bench.context.project.spec.model_dump() | {"integration": None})
    with pytest.raises(ConfigError) as error:
        run_sync(make_bench(spec).context)
    assert "integration:" in error.value.hint
