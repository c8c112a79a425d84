"""Assess on real files and a real journal: figures, findings, documents, and nothing personal in any of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import openpyxl
import pytest

from rollout.assess.model import Assessment
from rollout.assess.score import HEALTH
from rollout.cli.app import run
from rollout.errors import ConfigError
from rollout.phases.assess import run_assess
from rollout.phases.context import PhaseContext, open_context
from rollout.project.loader import load_project
from tests.core_demo import core

DEMO = Path(__file__).parents[2] / "demo"
HEADER = (
    "客户编号,客户名称,统一社会信用代码,行业,区域,地址,电话,网址,等级,业务员,所属公司,成立日期,员工人数,年营业额,备注"
)
EAST = [
    "K1,恒泰一厂,91310000MA1K35RU4P,机械,华东,人民路1号,13812345678,,A,张伟,,2015-03-08,12,3.5,",
    "K2,恒泰二厂,91310000MA1K35RU4X,机械,华东,人民路2号,021-52345678,,A,张伟,,2015/3/9,12,3.5,",
    "K2,恒泰二厂,91310000MA1K35RU4X,机械,华东,人民路2号,021-52345678,,A,张伟,,2015/3/9,12,3.5,",
    'K3,,,机械,华东,"三楼\n左",12345,,A,张伟,,2015-02-30,约5人,-,=1+1',
]
SECRETS = ("13812345678", "12345678", "13987654321", "li.na@secret.example", "li.na", "李娜娜", "1987-05-04")


@pytest.fixture
def context(tmp_path, pg_url, monkeypatch):
    """The demo project's rules over a handful of made-up rows."""
    monkeypatch.setenv("ROLLOUT_DATABASE_URL", pg_url)
    monkeypatch.setenv("ROLLOUT_TESTBED_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROLLOUT_TESTBED_PASSWORD", "x")
    for name in ("rollout.yaml", "mappings"):
        (shutil.copytree if (DEMO / name).is_dir() else shutil.copy)(DEMO / name, tmp_path / name)
    file = tmp_path / "rollout.yaml"
    file.write_text(core(file.read_text(encoding="utf-8")), encoding="utf-8")
    customers = tmp_path / "legacy" / "customers"
    customers.mkdir(parents=True)
    (customers / "客户_华东.csv").write_text("\n".join([HEADER, *EAST]) + "\n", encoding="gb18030")
    book = openpyxl.Workbook()
    for row in (
        ["联系人台账"],
        ["联系人编号", "姓名", "所属客户编号", "职务", "联系方式", None, "生日", "主要联系人"],
        [None, None, None, None, "手机", "邮箱", None, None],
        ["L1", "李娜娜", "K1", "经理", "13987654321", "li.na@secret.example", "1987-05-04", "是"],
        ["L2", "李娜娜", "K9", "经理", "13987654321", "li.na@secret.example", "1987-05-04", "否"],
    ):
        book.active.append(row)
    book.save(tmp_path / "legacy" / "联系人.xlsx")
    with open_context(load_project(tmp_path / "rollout.yaml")) as context:
        yield context


def cells(path: Path) -> str:
    """Everything that a workbook shows."""
    sheets = openpyxl.load_workbook(path).worksheets
    return "\n".join(str(value) for sheet in sheets for row in sheet.iter_rows(values_only=True) for value in row)


def test_an_assessment_finds_what_was_planted_and_shows_nobody(context: PhaseContext):
    summary = run_assess(context)
    assert summary.rows == {"account": 4, "contact": 2}
    recorded = context.journal.latest_run("assess")
    found = {(f.id, f.where): f.count for f in context.journal.findings(recorded.run_id)}
    for expected, count in {
        ("assess.invalid_uscc", "customers/统一社会信用代码"): 2,
        ("assess.invalid_phone", "customers/电话"): 1,
        ("assess.invalid_date", "customers/成立日期"): 1,
        ("assess.invalid_number", "customers/员工人数"): 1,
        ("assess.required_missing", "customers/客户名称"): 1,
        ("assess.formula_like", "customers/备注"): 1,
        ("assess.control_characters", "customers/地址"): 1,
        ("assess.duplicate_rows", "customers"): 1,
        ("assess.key_repeated", "customers/客户编号"): 1,
        ("assess.reference_unknown", "contacts/所属客户编号"): 1,
    }.items():
        assert found.get(expected) == count, expected
    assessment = Assessment.model_validate(recorded.summary["assessment"])
    assert [file.encoding for _, source in assessment.sources for file in source.files] == ["gb18030", ""]

    names = ["assessment.zh.html", "assessment.en.html", "assessment.zh.xlsx", "assessment.en.xlsx"]
    assert [Path(path).name for path in summary.reports] == names
    texts = [Path(path).read_text(encoding="utf-8") for path in summary.reports[:2]]
    texts += [cells(Path(path)) for path in summary.reports[2:]]
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in summary.reports)
    everything = [*texts, json.dumps(recorded.summary, ensure_ascii=False), summary.model_dump_json()]
    everything += [finding.model_dump_json() for finding in context.journal.findings(recorded.run_id)]
    for text in everything:
        for secret in SECRETS:
            assert secret not in text
    assert "现有数据资产评估报告" in texts[0]
    assert "Data asset assessment report" in texts[1]
    assert all(finding.id in texts[2] for finding in assessment.findings)


def test_a_failed_assessment_is_recorded_and_leaves_no_document(context: PhaseContext):
    for path in (context.project.root / "legacy" / "customers").iterdir():
        path.unlink()
    with pytest.raises(ConfigError):
        run_assess(context)
    assert context.journal.latest_run("assess") is None
    assert context.journal.latest_run("assess", state="failed") is not None
    assert list(context.project.workspace.reports.iterdir()) == []


def test_the_verb_answers_one_json_object(context: PhaseContext, capsys):
    code = run(["--project", str(context.project.root), "assess", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert answer["rows"] == {"account": 4, "contact": 2}
    assert set(answer["health"]) == set(HEALTH)
    assert 0 < answer["score"] < 100
    assert answer["findings"]["error"] == 0
    assert len(answer["reports"]) == 4


def test_the_verb_lists_findings_for_people(context: PhaseContext, capsys):
    assert run(["--project", str(context.project.root), "assess"]) == 0
    told = capsys.readouterr().out
    assert "account: 4 rows read" in told
    assert "assess.invalid_uscc" in told
    assert not any(secret in told for secret in SECRETS)
