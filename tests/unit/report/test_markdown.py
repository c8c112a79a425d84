from __future__ import annotations

from rollout.model.finding import Finding, Level
from rollout.model.outcome import Accounting
from rollout.report import markdown

from ._samples import acceptance


def test_the_conservation_table_has_a_line_an_entity_and_says_whether_it_adds_up():
    table = markdown.conservation_table(
        [Accounting(entity="account", source=1200, created=1199, merged=1), Accounting(entity="contact", source=3)],
        "zh",
        {"account": "客户"},
    )
    lines = table.splitlines()
    assert lines == [
        "| 业务对象 | 源数据 | 新建 | 合并 | 合计 |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| 客户 | 1,200 | 1,199 | 1 | 1,200 ✓ |",
        "| contact | 3 | 0 | 0 | 0 ✗ |",
        "",
        "0 行: 更新 · 未变 · 沿用 · 被拒绝 · 隔离 · 跳过 · 冲突 · 等待 · 未知 · 未导入",
    ]


def test_the_gate_table_names_verdict_and_thresholds():
    table = markdown.gate_table(acceptance().gates[0], "en")
    assert table.startswith("### Load gate: ✓ Pass\n")
    assert "| Load success | 99.53 % | ≥ 99 % | 5,000 | blocking | ✓ Pass |" in table


def test_findings_are_sorted_escaped_and_limited():
    evil = Finding(id="acme.x", level=Level.ERROR, message="a|b\n[link](http://x) <b>", where="`w`", count=1)
    note = Finding(id="assess.placeholder", level=Level.INFO, message="m", where="s/c", count=5)
    table = markdown.findings_table([note, note, evil], "en", limit=2)
    lines = table.splitlines()
    assert lines[2].startswith(r"| error | a\|b \[link\](http://x) \<b\> | \`w\` | 1 |")
    assert len([line for line in lines if line.startswith("| note")]) == 1
    assert "1 more" in table
    assert markdown.findings_table([], "en") == "Nothing was found.\n"
