"""Workbooks from the form that hands them out to the form that takes them in, on a real Prefect server and journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_company import choose
from openpyxl import load_workbook

from rollout.report.messages import messages

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.xdist_group("flows"), pytest.mark.attack]
SILENT = {"account": {"after_years": 3, "dates": ["established_on"], "freeze": {"status": "冻结"}}}


@pytest.fixture
def company(make_company, monkeypatch: pytest.MonkeyPatch, _clean_environment: None):
    with make_company(accounts=200, without=("waves", "integration", "loadtest"), dormant=SILENT) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


def answered(workbook: Path, words: dict[str, str]) -> None:
    """Fill in the column of new values of a workbook of rows to repair: by field, where it is empty."""
    book, t = load_workbook(workbook), messages("zh")
    sheet = book.worksheets[0]
    columns = {cell.value: cell.column for cell in sheet[1]}
    field, new = (columns[t(f"quarantine.column.{name}")] for name in ("field", "new_value"))
    for line in range(2, sheet.max_row + 1):
        told = str(sheet.cell(line, field).value).partition(" ")[0]
        sheet.cell(line, new, words.get(told))
    book.save(workbook)


def test_workbooks_go_out_masked_and_come_back_signed(company, artifacts, run_as_deployed):
    from flows.cleanse import CleanseOptions, cleanse
    from flows.handouts import HandoutOptions, handouts
    from flows.plan import PlanOptions, plan
    from flows.take_in import TakeInOptions, take_in
    from flows.whole_rollout import RolloutOptions, rollout

    cleansed = cleanse(CleanseOptions(**company.options), return_state=True)
    dormant = cleansed.result().entities["account"].dormant
    assert dormant.undecided == dormant.found > 0
    assert f"{dormant.found:,} dormant records to decide" in cleansed.message
    shown = artifacts(cleansed.state_details.flow_run_id)
    assert f"| {dormant.found} |" in shown["hengtai-demo-volumes"]
    assert "hengtai-demo-report-cleansing-zh" in shown
    assert plan(PlanOptions(**company.options), return_state=True).name == "ApprovalError"

    out = {}
    for kind in ("dormant", "quarantine", "mapping"):
        state = handouts(HandoutOptions(**company.options, kind=kind, language="zh"), return_state=True)
        assert state.is_completed(), state.message
        out[kind] = state.result()
        table = artifacts(state.state_details.flow_run_id)[f"hengtai-demo-handouts-{kind}"].replace("\\", "")
        assert all(Path(file).name in table for file in out[kind])
        assert f"{len(out[kind])} workbooks" in state.message

    (file,) = out["dormant"]
    choose(Path(file), "frozen")
    form = {**company.options, "kind": "dormant", "files": ["dormant/dormant.xlsx"], "person": company.person}
    form |= {"reason": "agreed with sales", "go_on": False}
    refused, before, after = run_as_deployed(take_in, {**form, "code": "not-the-code"})
    assert refused.name == "ApprovalError"
    assert before["options"]["code"] == "not-the-code"
    assert "not-the-code" not in str(after.parameters)
    taken = take_in(TakeInOptions(**form, code=company.code), return_state=True)
    assert (taken.name, taken.message) == ("TakenIn", f"{dormant.found:,} records decided by {company.person}")
    assert company.person in artifacts(taken.state_details.flow_run_id)["hengtai-demo-handouts-dormant"]

    files = tuple(out["quarantine"])
    for path in files:
        answered(Path(path), {"uscc": "无"})
    named = [Path(path).name for path in files]  # as the list of who has one names them
    taken = take_in(
        TakeInOptions(**{**form, "kind": "quarantine", "files": named}, code=company.code), return_state=True
    )
    assert (taken.name, taken.result().trouble) == ("TakenIn", [])
    repaired = int(taken.message.partition(" rows recorded")[0])
    assert repaired > 0

    state = take_in(TakeInOptions(**{**form, "kind": "mapping"}, code=company.code), return_state=True)
    assert (state.name, state.is_failed()) == ("ConfigError", True)  # that is the dormant records' workbook
    waiting = rollout(RolloutOptions(**company.options), return_state=True)  # cleanses anew: the repaired are old, too
    assert waiting.name == "AwaitingDecision"
    assert f"dormant records are undecided: {repaired} of 'account'" in waiting.message
