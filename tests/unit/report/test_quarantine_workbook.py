"""What people are told about the answers that they gave in a workbook of rows to repair."""

from __future__ import annotations

import pytest

from rollout.report.quarantine_workbook import told_outcome


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("zh", "仍有误；所属客户: 所属记录不在源数据中；say something else"),
        ("en", "still wrong; account: the record it belongs to is in no source; say something else"),
    ],
)
def test_an_answer_that_does_not_hold_is_told_in_words(language, told):
    problems = ("account: parent_missing", "say something else")
    assert told_outcome("wrong", problems, {"account": "所属客户"} if language == "zh" else {}, language) == told
