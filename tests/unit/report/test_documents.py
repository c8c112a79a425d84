"""The documents: well-formed, escaped, self-contained, the same bytes for the same figures, and they say what is so."""

from __future__ import annotations

import re

import pytest

from rollout.assess.model import (
    Assessment,
    EntityProfile,
    FieldProfile,
    FileProfile,
    FormatShare,
    RequiredField,
    SourceProfile,
    ValueCount,
)
from rollout.model.entity import FieldType
from rollout.model.finding import Finding, Level
from rollout.model.outcome import Accounting, Bucket
from rollout.model.progress import Override
from rollout.model.verdict import Comparison, Criterion, GateResult, Measurement, Verdict, judge_gate
from rollout.report.acceptance import render_acceptance
from rollout.report.assessment import render_assessment
from rollout.report.documents import ReasonCount, SampleFigures

from ._samples import AT, acceptance

EVIL = "<script>alert('x')</script>\"&"


def assessment(text: str = "客户名称") -> Assessment:
    field = FieldProfile(
        column=text,
        targets=("name",),
        label=text,
        type=FieldType.PHONE,
        required=True,
        rows=200,
        filled=150,
        placeholders=3,
        distinct=140,
        min_length=1,
        max_length=9,
        invalid=7,
        control=1,
        formats=(FormatShare(pattern=text, rows=100, example=text),),
        more_formats=2,
        sampled=150,
    )
    source = SourceProfile(
        name="customers",
        rows=200,
        unreadable=2,
        files=(FileProfile(path=text, rows=200, encoding="gb18030"),),
        fields=(
            field,
            field.model_copy(update={"values": (ValueCount(value=text, rows=3),), "type": None, "invalid": None}),
        ),
        required=(RequiredField(field="name", columns=(text,), missing=50),),
        row_key=(text,),
        ready=140,
        repeated_keys=4,
    )
    found = Finding(
        id="assess.invalid_phone", level=Level.WARNING, message=text, where=f"customers/{text}", hint=text, count=7
    )
    return Assessment(
        project=text,
        company=text,
        run_id="ab" * 16,
        assessed_at=AT,
        time_zone="Asia/Shanghai",
        entities=(EntityProfile(name="account", label=text, label_en="Account", sources=(source,)),),
        findings=(found, found.model_copy(update={"id": "acme.own", "level": Level.INFO})),
    )


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "render", [lambda lang: render_assessment(assessment(), lang), lambda lang: render_acceptance(acceptance(), lang)]
)
def test_a_document_is_well_formed_self_contained_and_reproducible(render, language, parse):
    html = render(language)
    root = parse(html)
    assert root.get("lang") == {"zh": "zh-CN", "en": "en"}[language]
    assert not root.findall(".//script")
    assert not re.search(r"https?://|url\((?!#)|@import|\ssrc=|\shref=", html)
    assert root.findall(".//svg/rect")
    assert render(language) == html


@pytest.mark.parametrize("language", ["zh", "en"])
def test_data_stays_text(language, parse):
    reason = ReasonCount(entity=EVIL, bucket=Bucket.REJECTED, reason_code=EVIL, rows=1, example=EVIL)
    entity = Accounting(entity=EVIL, source=1, rejected=1)
    gate = GateResult(gate=EVIL, verdict=Verdict.PASS, criteria=())
    evil = acceptance(
        company=EVIL, company_en=EVIL, target=EVIL, accounting=(entity,), reasons=(reason,), gates=(gate,)
    )
    for html in (render_assessment(assessment(EVIL), language), render_acceptance(evil, language)):
        root = parse(html)
        assert not root.findall(".//script")
        assert EVIL in "".join(root.itertext())


@pytest.mark.parametrize(("holds", "told"), [(True, "Overridden by"), (False, "no longer counts")])
def test_an_override_is_printed_with_its_gate_and_leaves_the_verdict_as_it_is(holds, told, parse):
    override = Override(phase="verify", person=EVIL, reason=EVIL, at=AT, holds=holds)
    failed = GateResult(gate="verify", verdict=Verdict.FAIL, criteria=())
    html = render_acceptance(acceptance(gates=(failed,), overrides={"verify": (override,)}), "en")
    text = "".join(parse(html).itertext())
    assert told in text
    assert text.count(EVIL) == 2
    assert verdict_of(html) == "FAIL"


def test_instants_are_shown_in_the_projects_time_zone():
    assert "2026-03-04 13:06 (UTC+08:00)" in render_acceptance(acceptance(), "zh")


def test_the_formula_of_each_health_figure_is_printed_with_its_numbers():
    html = render_assessment(assessment(), "en")
    assert "150 ÷ 200" in html  # completeness: 50 of 200 required values are missing
    assert "196 ÷ 200" in html  # unique keys
    assert "140 ÷ 200" in html  # ready
    assert "143 ÷ 150" in html  # validity: 7 of 150 phones are invalid
    assert "2 rows could not be read" in html


def verdict_of(html: str) -> str:
    return re.search(r'class="banner (\w+)"', html)[1]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "PASS"),
        ({"gates": ()}, "INCONCLUSIVE"),
        ({"accounting": ()}, "INCONCLUSIVE"),
        ({"gates": (judge_gate("load", [Criterion(metric="m", comparison=Comparison.AT_LEAST, threshold=1)], []),)}, "INCONCLUSIVE"),
        ({"gates": (judge_gate("load", [Criterion(metric="m", comparison=Comparison.AT_LEAST, threshold=1)], [Measurement(metric="m", value=0, evidence=1)]),)}, "FAIL"),
        ({"accounting": (Accounting(entity="a", source=3, created=2),)}, "FAIL"),
        ({"accounting": (Accounting(entity="a", source=3, created=2, unknown=1),)}, "FAIL"),
        ({"accounting": (Accounting(entity="a", source=3, created=3, not_loaded=1),)}, "FAIL"),
    ],
)  # fmt: skip
def test_the_banner_is_green_only_when_all_of_it_holds(changes, verdict):
    assert verdict_of(render_acceptance(acceptance(**changes), "en")) == verdict


def test_a_sum_that_does_not_add_up_is_shown_as_such():
    html = render_acceptance(
        acceptance(accounting=(Accounting(entity="account", source=10, created=7, unknown=1),)), "en"
    )
    assert "Source 10 ≠ Created 7 + Unknown 1" in html
    assert "✕ -2" in html


def test_the_sample_says_what_it_proves_and_nothing_where_nothing_was_looked_at():
    html = render_acceptance(acceptance(), "en")
    assert "With 95 % confidence at most 0.57 % are wrong." in html
    empty = SampleFigures(entity="account", population=0, size=0, wrong=0, bound=None, confidence=0.95)
    html = render_acceptance(acceptance(samples=(empty,)), "en")
    assert "nothing is concluded" in html
    assert "≤" not in html.split("<h2>")[0]  # no figure among the cards


def test_plan_hash_approval_and_reasons_are_there():
    html = render_acceptance(acceptance(), "zh")
    for text in ("5f" * 32, "admin01", "周会通过", "统一社会信用代码校验位不符", "name: 121 &gt; 120"):
        assert text in html
    assert "尚未批准" in render_acceptance(
        acceptance(plan=acceptance().plan.model_copy(update={"approvals": ()})), "zh"
    )
