"""The sample that people check: out as workbooks, back signed, and void once the record is loaded with other values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msoffcrypto
import pytest
from openpyxl import load_workbook

from rollout.connectors.memory import MemoryConnector
from rollout.errors import ApprovalError, ConfigError
from rollout.journal.handouts import handed_out
from rollout.model.verdict import Verdict
from rollout.phases.sample import export_sample, sample_standing
from rollout.phases.sample_import import import_sample
from rollout.phases.verify import run_verify
from rollout.project.spec import ControlTotal, LayerSpec
from rollout.project.spec_data import HandoutSection

ACCOUNTS = {f"s:{n}": {"name": f"示例公司{n}", "phone": f"+86210000{n:04}", "note": f"销售{n % 2}"} for n in range(40)}
CONTACTS = {f"c:{n}": {"name": f"示例人{n}", "account": f"s:{n % 40}"} for n in range(60)}
HEADERS = {"verdict": "正确/错误", "note": "备注", "key": "标识", "title": "名称"}


@pytest.fixture
def loaded(bench):
    """Accounts have an owner in their note; contacts follow their account."""
    project = bench.context.project
    spec = project.spec.model_copy(update={"handouts": HandoutSection(owner="note", password="sesam-öffne-dich")})
    bench.context = replace(bench.context, project=replace(project, spec=spec))
    bench.golden(ACCOUNTS, CONTACTS)
    bench.plan_and_load()
    return bench


def answered(path: Path, verdict: str = "正确", **only: str) -> Path:
    """Fill a workbook in; ``only`` names by title what is answered otherwise ("" leaves the line open)."""
    book = load_workbook(path)
    sheet = book.worksheets[0]
    places = {cell.value: cell.column for cell in sheet[1]}
    for row in range(2, sheet.max_row + 1):
        title = sheet.cell(row, places[HEADERS["title"]]).value
        sheet.cell(row, places[HEADERS["verdict"]]).value = only.get(title, verdict) or None
        if only.get(title) == "错误":
            sheet.cell(row, places[HEADERS["note"]]).value = "电话不对"
    book.save(path)
    return path


def titles(path: Path) -> list[str]:
    sheet = load_workbook(path).worksheets[0]
    place = [cell.value for cell in sheet[1]].index(HEADERS["title"])
    return [row[place] for row in sheet.iter_rows(min_row=2, values_only=True)]


def export(bench, folder, **options):
    return export_sample(bench.context, folder, **options)


def bring_back(bench, export, verdict="正确", **only):
    paths = [answered(Path(file.file), verdict, **only) for file in export.files]
    return import_sample(bench.context, paths, person="tester", code=bench.code)


def criteria(bench):
    return {item.metric: item for item in run_verify(bench.context).criteria}


def test_each_checker_gets_their_own_records_and_those_of_the_records_they_belong_to(loaded, tmp_path):
    out = export(loaded, tmp_path / "out")
    assert {file.checker for file in out.files} == {"销售0", "销售1"}
    assert {result.entity: result.asked for result in out.people} == {"account": 25, "contact": 31}
    for file in out.files:
        number = int(file.checker[-1])
        assert all(int(title.lstrip("示例公司人")) % 2 == number for title in titles(Path(file.file)))
    assert sum(file.rows for file in out.files) == 56
    everybody = export(loaded, tmp_path / "all", by="all")
    assert [(file.checker, file.rows) for file in everybody.files] == [("未指定", 56)]
    with loaded.context.journal.transaction() as connection:
        kept = handed_out(connection, "tiny", kind="sample")
    assert [(item.recipient, item.unmasked) for item in kept] == [("销售0", False), ("销售1", False), ("未指定", False)]


def test_all_right_proves_what_was_promised_and_one_line_left_open_proves_nothing(loaded, tmp_path):
    assert "people_checked" not in criteria(loaded), "nobody was asked"
    out = export(loaded, tmp_path)
    [missed, *_] = titles(Path(out.files[0].file))
    told = bring_back(loaded, out, **{missed: ""})
    assert (told.right, told.wrong, told.unanswered) == (55, 0, 1)
    found = criteria(loaded)
    assert found["people_wrong_bound"].verdict is Verdict.INCONCLUSIVE
    assert found["people_wrong_bound"].observed is None
    rest = export(loaded, tmp_path / "rest")
    assert [file.rows for file in rest.files] == [1]
    bring_back(loaded, rest)
    summary = run_verify(loaded.context)
    found = {item.metric: item for item in summary.criteria}
    assert (found["people_wrong_bound"].verdict, found["people_checked"].verdict) == (Verdict.PASS, Verdict.PASS)
    assert found["people_wrong_bound"].observed <= 0.05
    assert found["people_checked"].blocking is False
    pages = [Path(path).read_text(encoding="utf-8") for path in summary.reports]
    assert ("人工核对" in pages[0], "Checked by people" in pages[1]) == (True, True)
    assert not export(loaded, tmp_path / "none").files


def test_a_wrong_record_counts_until_it_is_loaded_again_with_other_values(loaded, tmp_path):
    out = export(loaded, tmp_path)
    [wrong, *_] = [title for title in titles(Path(out.files[0].file)) if "公司" in title]
    assert bring_back(loaded, out, **{wrong: "错误"}).wrong == 1
    summary = run_verify(loaded.context)
    assert summary.verdict is Verdict.PASS, "observed only"
    assert {item.metric: item for item in summary.criteria}["people_wrong_bound"].verdict is Verdict.FAIL
    assert [(item.entity, item.wrong, item.open) for item in summary.people] == [("account", 1, 0), ("contact", 0, 0)]
    again = export(loaded, tmp_path / "again", again=True, by="all")
    sheet = load_workbook(again.files[0].file).worksheets[0]
    assert sum("电话不对" in row for row in sheet.iter_rows(values_only=True)) == 1

    key = f"s:{wrong.removeprefix('示例公司')}"
    loaded.golden(ACCOUNTS | {key: {**ACCOUNTS[key], "phone": "+862199999999"}}, CONTACTS)
    loaded.plan_and_load()
    standing = {item.entity: item for item in sample_standing(loaded.context).people}
    assert (standing["account"].wrong, standing["account"].lapsed, standing["account"].open) == (0, 1, 1)
    assert (standing["contact"].lapsed, standing["contact"].open) == (0, 0)
    out = export(loaded, tmp_path / "repaired")
    assert [titles(Path(file.file)) for file in out.files] == [[wrong]]
    assert [(item.wrong, item.open) for item in bring_back(loaded, out).people] == [(0, 0), (0, 0)]


def test_what_the_target_holds_is_shown_as_it_was_read_back(loaded, tmp_path):
    title = titles(Path(export(loaded, tmp_path, by="all").files[0].file))[0]
    loaded.edit(title, phone="+862188887777")
    [file] = export(loaded, tmp_path / "later", by="all").files
    sheet = load_workbook(file.file).worksheets[0]
    header = [cell.value for cell in sheet[1]]
    [row] = [row for row in sheet.iter_rows(min_row=2, values_only=True) if row[header.index("名称")] == title]
    assert "+862188887777" in row[header.index("CRM 中的值")]
    assert "+862188887777" not in row[header.index("迁移后的值")]
    assert row[header.index("不一致")] == "phone"


@pytest.mark.parametrize(
    ("verdict", "message"), [("大概对", "neither right nor wrong"), ("√", "neither right nor wrong")]
)
def test_one_line_that_cannot_be_taken_and_nothing_is_recorded(loaded, tmp_path, verdict, message):
    out = export(loaded, tmp_path)
    [odd, *_] = titles(Path(out.files[1].file))
    told = bring_back(loaded, out, **{odd: verdict})
    assert [message in problem.message for problem in told.problems] == [True]
    assert all(item.checked == 0 for item in sample_standing(loaded.context).people)


def test_two_workbooks_that_contradict_each_other_record_nothing(loaded, tmp_path):
    first = export(loaded, tmp_path / "first", by="all").files[0].file
    again = export(loaded, tmp_path / "again", by="all").files[0].file
    [odd, *_] = titles(Path(first))
    paths = [answered(Path(first), **{odd: "错误"}), answered(Path(again))]
    for order in (paths, paths[::-1]):
        told = import_sample(loaded.context, order, person="tester", code=loaded.code)
        assert [(found.file, "and" in found.message) for found in told.problems] == [(order[1].name, True)]
    assert all(item.checked == 0 for item in sample_standing(loaded.context).people)


def test_a_wrong_code_or_a_workbook_of_another_place_records_nothing(loaded, tmp_path):
    out = export(loaded, tmp_path, by="all")
    path = answered(Path(out.files[0].file))
    with pytest.raises(ApprovalError):
        import_sample(loaded.context, [path], person="tester", code="aaaaa-bbbbb-ccccc")
    book = load_workbook(path)
    about = book.worksheets[-1]
    [target] = [row[1] for row in about.iter_rows() if row[2].value == "target"]
    target.value = "prod"
    book.save(path)
    with pytest.raises(ConfigError, match="of target 'prod'"):
        import_sample(loaded.context, [path], person="tester", code=loaded.code)
    assert all(item.checked == 0 for item in sample_standing(loaded.context).people)


def test_a_line_that_never_went_out_is_refused(loaded, tmp_path):
    [file] = export(loaded, tmp_path, by="all").files
    path = answered(Path(file.file))
    book = load_workbook(path)
    sheet = book.worksheets[0]
    key = [cell.value for cell in sheet[1]].index(HEADERS["key"]) + 1
    sheet.cell(2, key).value = "account/made-up"
    book.save(path)
    told = import_sample(loaded.context, [path], person="tester", code=loaded.code)
    assert ["none of those that went out" in problem.message for problem in told.problems] == [True]


def test_unmasked_workbooks_are_sealed_and_none_leaves_without_a_password(loaded, tmp_path):
    [file] = export(loaded, tmp_path, by="all", unmasked=True).files
    with Path(file.file).open("rb") as stream:
        assert msoffcrypto.OfficeFile(stream).is_encrypted()
    told = import_sample(loaded.context, [Path(file.file)], person="tester", code=loaded.code)
    assert (told.right, told.unanswered) == (0, 56)
    project = loaded.context.project
    spec = project.spec.model_copy(update={"handouts": HandoutSection()})
    loaded.context = replace(loaded.context, project=replace(project, spec=spec))
    with pytest.raises(ConfigError, match="no password"):
        export(loaded, tmp_path / "bare", unmasked=True)
    assert not (tmp_path / "bare").exists()


def test_the_whole_target_and_the_sources_are_looked_at_not_only_what_was_loaded(loaded):
    """A reference that leads nowhere in a record of somebody else, and golden rows that no source row stands for."""
    gone = loaded.crm.add("account", {"name": "别人建的客户"}, user="sales")
    loaded.crm.add("contact", {"name": "别人建的人", "account": gone}, user="sales")
    loaded.crm.remove("account", gone)
    total = {"name": "accounts", "entity": "account", "measure": "count", "expected": "auto", "tax": "none"}
    words = {"status": "all", "returns": "none", "as_of": "2026-01-31"}
    project = loaded.context.project
    layer = LayerSpec(name="master", entities=("account",), control_totals=(ControlTotal(**total, **words),))
    spec = project.spec.model_copy(update={"layers": (layer,)})
    loaded.context = replace(loaded.context, project=replace(project, spec=spec))
    summary = run_verify(loaded.context)
    assert {item.metric: item.observed for item in summary.criteria}["orphans"] == 1
    assert summary.entities["contact"].orphans == {"account": 1}
    assert summary.entities["contact"].reconciliation.relations_broken == 0
    assert "verify.orphans" in {found.id for found in loaded.context.journal.findings(summary.run_id)}
    [result] = summary.control_totals
    assert (result.observed, result.expected, result.agrees) == ("40", "0", False)


def test_a_record_made_while_the_target_was_read_is_no_orphan(loaded, monkeypatch):
    """Accounts are read first: one that somebody makes then, with a contact, is not among them."""
    late = loaded.crm.add("account", {"name": "刚建的客户"}, user="sales")
    loaded.crm.add("contact", {"name": "刚建的人", "account": late}, user="sales")
    read_all = MemoryConnector.read_all
    monkeypatch.setattr(
        MemoryConnector,
        "read_all",
        lambda self, entity: (record for record in read_all(self, entity) if record.target_id != late),
    )
    assert criteria(loaded)["orphans"].observed == 0
