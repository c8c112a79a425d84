"""The data cleansing report: figures that add up, every anomaly with what was done, text that stays text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

import pytest

from rollout.model.finding import Finding, Level
from rollout.report.cleansing import CleansingReport, DormantFigures, EntityFigures, FieldFigures, render_cleansing
from rollout.report.documents import EntityLabel

EVIL = '<b>客户</b>"&'


def finding(code: str, done: str, rows: int) -> Finding:
    return Finding(
        id=f"cleanse.{code}",
        level=Level.WARNING,
        message="m",
        where="account.phone",
        count=rows,
        detail={"done": done, "first": "customers:1"},
    )


def report(**changes) -> CleansingReport:
    entity = EntityFigures(
        name="account",
        source=100,
        golden=80,
        merged=10,
        quarantined=6,
        skipped=4,
        by_source={"customers": 100},
        skipped_by={"dormant_left_out": 3, "row_blank": 1},
        merged_by={"repeated row": 4, EVIL: 6},
        waves={"pilot": 30, "rest": 70},
        repaired=2,
        left_out=1,
        dormant=DormantFigures(
            as_of=date(2026, 1, 1), after_years=3, found=9, choices={"leave_out": 3, "undecided": 6}, left_out_rows=3
        ),
        fields=(FieldFigures(name="phone", label=EVIL, filled=90, kept=85, changed=40),),
        findings=(finding("phone_invalid", "dropped", 5), finding("required_missing", "quarantined", 6)),
    )
    return CleansingReport(
        project="项目",
        company="公司",
        run_id="r" * 32,
        cleansed_at=datetime(2026, 1, 1, tzinfo=UTC),
        time_zone="Asia/Shanghai",
        labels={"account": EntityLabel(zh=EVIL, en="")},
        entities=(entity.model_copy(update=changes),),
    )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ("数据清洗报告", "舍弃该值", "整行隔离", "同一条记录的重复行", "尚未决定", "休眠记录，被指定人员剔除")),
        ("en", ("Data cleansing report", "value left out", "row held back", "the same record once more", "undecided")),
    ],
)
def test_it_tells_what_became_of_every_row_and_value(language, words):
    html = render_cleansing(report(), language)
    ET.fromstring(re.sub("<!DOCTYPE html>", "", html))
    assert all(word in html for word in words)
    assert EVIL not in html
    assert "customers:1" in html
    assert html == render_cleansing(report(), language)
    assert not re.search(r"(?:src|href)=", html)
    for figure in ("100", "80", "10", "45", "40", "5"):
        assert f">{figure}<" in html, figure


def test_a_sum_that_is_wrong_is_shown_as_such():
    assert "✕" not in render_cleansing(report(), "en")
    assert "✕" in render_cleansing(report(golden=79), "en")


def test_nothing_found_is_said():
    assert "Nothing was found." in render_cleansing(report(findings=()), "en")
