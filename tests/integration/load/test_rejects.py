"""Rows that a load left over, repaired and decided in a workbook, and sent again."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from rollout.errors import ApprovalError, ConfigError, DriftError
from rollout.load import looking, sending
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.phases.rejects import export_rejects, list_rejects
from rollout.phases.rejects_import import ImportSummary, import_rejects
from rollout.phases.verify import run_verify
from tests.integration.load._sheet import Sheet

LONG = "much longer than twenty characters"
ACCOUNTS = {f"s:{n}": {"name": f"Company {n}", "phone": f"+8621000000{n:02}"} for n in range(12)}
SPOILT = {**ACCOUNTS, "s:3": {**ACCOUNTS["s:3"], "note": LONG}, "s:4": {**ACCOUNTS["s:4"], "note": LONG}}
CONTACTS = {f"c:{n}": {"name": f"Person {n}", "account": f"s:{n % 12}"} for n in range(24)}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)


@pytest.fixture
def export(tmp_path):
    def exported(bench, **options) -> Sheet:
        path = tmp_path / "queue.xlsx"
        export_rejects(bench.context, path, **options)
        return Sheet(path)

    return exported


def bring_back(bench, sheet: Sheet, *, code: str | None = None) -> ImportSummary:
    return import_rejects(
        bench.context, sheet.save(), person="tester", code=code or bench.code, reason="looked each of them up"
    )


def retry(bench):
    return run_load(bench.context, retry=True)


def test_a_repaired_parent_is_sent_again_and_its_children_follow(bench, export):
    bench.golden(SPOILT, CONTACTS)
    first = bench.plan_and_load()
    assert first.reasons == {"account": {"rejected/too_long": 2}, "contact": {"waiting/parent_not_loaded": 4}}
    assert not first.closed
    sheet = export(bench)
    [line] = [line for line in sheet.lines if line["key"] == "s:3"]
    assert (line["field"], line["value"], line["reason"], line["state"]) == ("note", LONG, "too_long", "被拒")
    assert "缩短" in line["hint"]
    sheet.fill("s:3", "note", action="重试", new_value="short")
    sheet.fill("s:4", "note", action="重试", new_value="shorter")
    sheet.shuffle()
    done = bring_back(bench, sheet)
    assert done.problems == ()
    assert done.approved
    assert (done.entities["account"].create, done.entities["contact"].create) == (2, 4)
    summary = retry(bench)
    assert summary.kind == "retry"
    assert summary.state == "applied"
    assert summary.accounted
    assert summary.closed
    assert (summary.entities["account"].created, summary.entities["contact"].created) == (12, 24)
    assert bench.records()["Company 3"].values["note"] == "short"
    assert list_rejects(bench.context).rows == 0
    assert bench.load().state == "already_applied"


def test_a_repair_holds_in_later_plans_until_the_source_says_something_else(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    sheet.fill("s:4", action="跳过")
    bring_back(bench, sheet)
    summary = retry(bench)
    assert (summary.entities["account"].skipped, summary.entities["account"].created) == (1, 11)
    again = bench.plan()
    assert (again.entities["account"].unchanged, again.entities["account"].skip) == (11, 1)
    bench.golden({**SPOILT, "s:3": {**SPOILT["s:3"], "note": "by the source"}})
    changed = bench.plan()
    assert changed.entities["account"].fields == {"note": 1}


def test_a_skipped_row_can_be_taken_up_again(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", action="跳过")
    bring_back(bench, sheet)
    retry(bench)
    assert [line["key"] for line in export(bench).lines] == ["s:4"]
    sheet = export(bench, skipped=True)
    sheet.fill("s:3", action="重试")
    sheet.fill("s:4", "note", action="retry", new_value="（清空）")
    done = bring_back(bench, sheet)
    assert done.decisions == {"retry": 2}
    summary = retry(bench)
    assert (summary.entities["account"].rejected, summary.entities["account"].created) == (1, 11)
    assert bench.records()["Company 4"].values["note"] is None


def conflict(bench):
    """A change on both sides in two fields of one record, and in one of another."""
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.edit("Company 2", phone="+862", note="typed")
    bench.edit("Company 5", phone="+865")
    bench.golden(
        {
            **ACCOUNTS,
            "s:2": {"name": "Company 2", "phone": "+8699", "note": "ours"},
            "s:5": {"name": "Company 5", "phone": "+8655"},
        }
    )
    return bench.plan_and_load()


def test_conflicts_are_settled_field_by_field_and_stay_settled(bench, export):
    assert conflict(bench).reasons == {"account": {"conflict/changed_on_both_sides": 2}}
    sheet = export(bench)
    [line] = [line for line in sheet.lines if (line["key"], line["field"]) == ("s:2", "phone")]
    assert (line["value"], line["crm_value"]) == ("+8699", "+862")
    sheet.fill("s:2", "phone", action="保留CRM值")
    sheet.fill("s:2", "note", action="用旧值")
    sheet.fill("s:5", "phone", action="保留CRM值")
    assert bring_back(bench, sheet).problems == ()
    summary = retry(bench)
    account = summary.entities["account"]
    assert (account.updated, account.unchanged, account.conflict) == (1, 11, 0)
    held = bench.records()
    assert (held["Company 2"].values["phone"], held["Company 2"].values["note"]) == ("+862", "ours")
    assert held["Company 5"].values["phone"] == "+865"
    again = bench.plan()
    assert again.entities["account"].unchanged == 12


def test_what_people_put_right_and_decided_passes_the_verification(bench, export):
    conflict(bench)
    sheet = export(bench)
    sheet.fill("s:2", "phone", action="保留CRM值")
    sheet.fill("s:2", "note", action="用旧值")
    sheet.fill("s:5", "phone", action="保留CRM值")
    bring_back(bench, sheet)
    retry(bench)
    assert run_verify(bench.context).entities["account"].reconciliation.kept == 2
    bench.plan_and_load()
    figures = run_verify(bench.context).entities["account"].reconciliation
    assert (figures.ok, figures.different, figures.kept) == (12, 0, 2)


def test_a_repaired_value_is_what_the_target_must_hold(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    sheet.fill("s:4", action="跳过")
    bring_back(bench, sheet)
    retry(bench)
    figures = run_verify(bench.context).entities["account"].reconciliation
    assert (figures.ok, figures.different, figures.missing) == (11, 0, 0)
    bench.edit("Company 3", note="typed")
    assert run_verify(bench.context).entities["account"].reconciliation.wrong_fields == {"note": 1}


def test_a_value_that_moved_since_the_export_is_not_decided_blindly(bench, export):
    conflict(bench)
    sheet = export(bench)
    bench.edit("Company 5", phone="+86500")
    sheet.fill("s:5", "phone", action="用旧值")
    done = bring_back(bench, sheet)
    assert "changed in the CRM since" in done.problems[0].message
    assert bench.records()["Company 5"].values["phone"] == "+86500"


def test_a_deleted_record_is_made_again_only_when_somebody_says_so(bench, export):
    bench.golden(ACCOUNTS)
    bench.plan_and_load()
    bench.crm.remove("account", bench.records()["Company 4"].target_id)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:4", action="用旧值")
    bring_back(bench, sheet)
    assert retry(bench).entities["account"].created == 1
    assert "Company 4" in bench.records()


def test_a_record_that_exists_becomes_the_row(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    entered = bench.crm.add("account", {"name": "Company 3", "phone": None, "note": "by hand"}, user="sales")
    sheet = export(bench)
    sheet.fill("s:3", "note", action="已存在(ID)", target_id=entered)
    done = bring_back(bench, sheet)
    assert done.entities["account"].adopt == 1
    summary = retry(bench)
    assert summary.entities["account"].adopted == 1
    record = bench.records()["Company 3"]
    assert (record.target_id, record.values["note"]) == (entered, "by hand")
    assert record.values["phone"] == ACCOUNTS["s:3"]["phone"]


def test_nothing_is_done_where_one_line_cannot_be(bench, export):
    bench.golden(SPOILT, CONTACTS)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value=LONG)
    sheet.fill("s:4", "note", action="保留CRM值")
    sheet.fill("c:3", "account", action="重试", new_value="s:99")
    sheet.fill("c:4", new_value="s:1")
    done = bring_back(bench, sheet)
    told = {(found.key, found.message) for found in done.problems}
    assert told == {
        ("s:3", "more than 20 characters"),
        ("s:4", "'保留CRM值' is nothing to do with a row of this kind"),
        ("c:3", "no record of account goes by 's:99'"),
        ("c:4", "a value or an ID, and no action"),
    }
    assert {found.line for found in done.problems} <= set(range(2, 10))
    with bench.context.journal.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM row_decision")).scalar_one() == 0
    with pytest.raises(ApprovalError, match="send again"):
        retry(bench)


def test_a_child_can_be_given_another_parent(bench, export):
    bench.golden(SPOILT, CONTACTS)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("c:3", "account", action="重试", new_value="s:1")
    bring_back(bench, sheet)
    retry(bench)
    assert bench.records("contact")["Person 3"].values["account"] == bench.records()["Company 1"].target_id


def test_who_decides_must_give_their_code(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", action="跳过")
    with pytest.raises(ApprovalError, match="do not belong together"):
        bring_back(bench, sheet, code="guess")


def test_a_workbook_of_another_project_is_refused(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet._book.worksheets[1]["B1"].value = "another"
    with pytest.raises(ConfigError, match="of project 'another'"):
        bring_back(bench, sheet)


def test_other_sources_need_a_plan_of_their_own(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    bench.touch_source()
    with pytest.raises(DriftError, match="changed since"):
        bring_back(bench, sheet)


def test_two_workbooks_make_one_retry(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    first = export(bench)
    first.fill("s:3", "note", action="重试", new_value="short")
    bring_back(bench, first)
    second = export(bench)
    assert {line["key"]: line["decided"] for line in second.lines} == {"s:3": "重试", "s:4": ""}
    second.fill("s:4", "note", action="重试", new_value="short too")
    bring_back(bench, second)
    assert retry(bench).entities["account"].created == 12


def test_what_is_rejected_again_is_in_the_queue_again(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", action="重试")
    bring_back(bench, sheet)
    summary = retry(bench)
    assert (summary.state, summary.entities["account"].rejected) == ("applied", 2)
    listed = list_rejects(bench.context)
    assert (listed.rows, listed.decided) == (2, 0)


def test_nothing_of_a_value_is_a_formula(bench, export):
    bench.golden({**ACCOUNTS, "s:3": {"name": "=HYPERLINK(1)", "note": LONG}})
    bench.plan_and_load()
    sheet = export(bench)
    cells = {cell.value: cell for row in sheet.sheet.iter_rows(min_row=2) for cell in row}
    assert cells["=HYPERLINK(1)"].data_type == "s"
    assert cells["=HYPERLINK(1)"].quotePrefix


def test_a_plan_of_everything_takes_the_place_of_a_retry(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    bring_back(bench, sheet)
    plan = run_plan(bench.context)
    assert plan.entities["account"].create == 2
    bench.approve()
    summary = bench.load()
    assert (summary.kind, summary.entities["account"].created, summary.entities["account"].rejected) == ("load", 1, 1)


def test_rows_that_no_load_came_to_are_approved_apart(bench, export):
    bench.golden(SPOILT, CONTACTS)
    bench.plan()
    bench.approve()
    assert run_load(bench.context, entities=["account"]).state == "loading"
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    done = bring_back(bench, sheet)
    assert (done.approved, done.unfinished) == (False, 24)
    with pytest.raises(ApprovalError):
        retry(bench)
    bench.approve()
    summary = retry(bench)
    assert (summary.entities["account"].created, summary.entities["contact"].created) == (11, 22)
    assert summary.reasons == {"account": {"rejected/too_long": 1}, "contact": {"waiting/parent_not_loaded": 2}}
    assert (summary.accounted, summary.closed) == (True, False)


def test_what_cannot_be_meant_is_told_and_not_guessed(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    sheet.sheet.append([cell.value for cell in sheet.sheet[2]])
    sheet.sheet.cell(sheet.sheet.max_row, sheet.places["new_value"]).value = "other"
    sheet.fill("s:4", action="重试", new_value="#REF!")
    sheet.sheet.append([cell.value for cell in sheet.sheet[2]])
    sheet.sheet.cell(sheet.sheet.max_row, sheet.places["key"]).value = "s:400"
    done = bring_back(bench, sheet)
    assert {(found.key, found.message) for found in done.problems} == {
        ("s:3", "line 2 says something else about the same field"),
        ("s:4", "the cell shows an error, not a value"),
        ("s:400", "no account goes by 's:400'"),
    }


def test_a_line_that_was_copied_as_it_is_does_no_harm(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    sheet.sheet.append([cell.value for cell in sheet.sheet[2]])
    assert bring_back(bench, sheet).decisions == {"retry": 1}


def test_what_somebody_typed_after_a_decision_is_not_overwritten_along_with_another(bench, export):
    conflict(bench)
    sheet = export(bench)
    sheet.fill("s:5", "phone", action="用旧值")
    bring_back(bench, sheet)
    bench.edit("Company 5", phone="+86500")
    sheet = export(bench)
    sheet.fill("s:2", "phone", action="用旧值")
    sheet.fill("s:2", "note", action="用旧值")
    done = bring_back(bench, sheet)
    assert (done.entities["account"].update, done.entities["account"].conflict) == (1, 1)
    retry(bench)
    assert bench.records()["Company 5"].values["phone"] == "+86500"
    assert [row.key for row in list_rejects(bench.context).listed] == ["s:5"]


def test_a_workbook_may_come_a_second_time(bench, export):
    bench.golden(SPOILT)
    bench.plan_and_load()
    sheet = export(bench)
    sheet.fill("s:3", "note", action="重试", new_value="short")
    sheet.fill("s:4", action="跳过")
    bring_back(bench, sheet)
    retry(bench)
    again = bring_back(bench, sheet)
    assert (again.problems, again.gone, again.decisions, again.plan_id) == ((), 2, {}, None)
