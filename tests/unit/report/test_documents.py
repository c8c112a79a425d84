"""The documents: well-formed, escaped, self-contained, the same bytes for the same figures, and they say what is so."""

from __future__ import annotations

import re
from datetime import date

import pytest

from rollout.assess.advice_model import Advice, ColumnAdvice, DateAdvice, ReasonShare, ValueAdvice
from rollout.assess.entity_model import (
    AgeBand,
    Dormancy,
    Duplicates,
    EntityFigures,
    KeyDuplicates,
    KindCount,
    OwnerCount,
    Owners,
    Volumes,
    YearCount,
)
from rollout.assess.model import (
    Assessment,
    EntityProfile,
    FieldProfile,
    FileProfile,
    FormatShare,
    ReferenceProfile,
    RequiredField,
    SourceProfile,
    ValueCount,
    Violation,
)
from rollout.model.entity import FieldType
from rollout.model.finding import Finding, Level
from rollout.model.outcome import Accounting, Bucket
from rollout.model.progress import Override
from rollout.model.verdict import Comparison, Criterion, GateResult, Measurement, Verdict, judge_gate
from rollout.report.acceptance import render_acceptance
from rollout.report.assessment import render_assessment
from rollout.report.assessment_workbook import SHEETS, assessment_book
from rollout.report.documents import ReasonCount, SampleFigures

from ._samples import AT, acceptance

EVIL = "<script>alert('x')</script>\"&"


def figures(text: str) -> EntityFigures:
    """Of an entity as a whole, every part of it filled."""
    return EntityFigures(
        duplicates=Duplicates(
            records=190,
            exact=20,
            keys=(KeyDuplicates(name=text, records=20),),
            likely=7,
            method="name",
            fields=("name",),
            sampled=100,
        ),
        dormancy=Dormancy(
            records=170,
            dormant=40,
            never=10,
            after_years=3,
            cutoff=date(2023, 3, 4),
            ages=(AgeBand(years=0, records=130), AgeBand(years=9, records=30)),
            kinds=(KindCount(kind=text, records=160),),
        ),
        owners=Owners(
            rows=200,
            mapped=150,
            pool=10,
            unknown=30,
            unknown_names=2,
            leavers=1,
            successors=1,
            blank=10,
            users=(OwnerCount(name=text, rows=150),),
            unknown_top=(OwnerCount(name=text, rows=30),),
        ),
        volumes=Volumes(
            field="since",
            label=text,
            years=tuple(YearCount(source=text, year=year, records=year - 2000) for year in (2001, 2020, 2024)),
            undated=3,
            ahead=1,
        ),
    )


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
        top=(ValueCount(value=text, rows=9),),
        low=text,
        high=text,
        violations=(Violation(code=text, done="kept", rows=2),),
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
        references=(ReferenceProfile(column=text, entity="account", rows=50, unknown=5),),
        row_rules=(Violation(code=text, done="quarantined", rows=2),),
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
        entities=(
            EntityProfile(name="account", label=text, label_en="Account", sources=(source,), figures=figures(text)),
            EntityProfile(name="note", label=text, sources=()),
        ),
        advice=Advice(
            columns=(
                ColumnAdvice(
                    entity="account",
                    source="customers",
                    column=text,
                    target="name",
                    label=text,
                    score=0.9,
                    reasons=(ReasonShare(code="name"), ReasonShare(code="type", share=0.97)),
                    transform="text",
                ),
            ),
            values=(ValueAdvice(entity="account", source="customers", field="level", raw=text, rows=3, value=None),),
            dates=(DateAdvice(entity="account", source="customers", column=text, layouts={text: 0.5}, undecided=4),),
        ),
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
    assert "163 ÷ 190" in html  # distinct: 20 exact copies and 7 likely ones
    assert "45 ÷ 50" in html  # references that lead somewhere
    assert "130 ÷ 170" in html  # heard of in three years


def test_the_score_is_printed_as_it_was_added_up():
    html = render_assessment(assessment(), "en")
    parts = [(25, 150 / 200), (25, 143 / 150), (20, 163 / 190), (20, 45 / 50), (10, 130 / 170)]
    total = sum(weight * share for weight, share in parts)
    assert f"÷ 100 = {total:.2f} %" in html
    assert f">{total:.1f}</text>" in html


def test_the_workbook_has_every_finding_and_runs_nothing():
    found = assessment("=1+1")
    for language in ("zh", "en"):
        book = assessment_book(found, language)
        assert len(book.sheetnames) == len(SHEETS)
        listed = [[cell.value for cell in row] for row in book.worksheets[1].iter_rows(min_row=2)]
        assert sorted(row[-1] for row in listed) == sorted(finding.id for finding in found.findings)
        cells = [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
        assert not any(cell.data_type == "f" for cell in cells)
        assert any(cell.value == "=1+1" and cell.quotePrefix for cell in cells)


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


def test_the_tables_of_many_entities_have_a_line_each_and_no_column_of_zeros(parse):
    names = [f"thing_{number}" for number in range(12)]
    actions = {name: {"create": 0, "unchanged": 5, "conflict": 0} for name in sorted(names)}
    html = render_acceptance(
        acceptance(
            accounting=tuple(Accounting(entity=name, source=6, unchanged=5, quarantined=1) for name in names),
            plan=acceptance().plan.model_copy(update={"actions": actions}),
            labels={},
        ),
        "en",
    )
    conservation, planned = (
        table
        for table in parse(html).findall(".//table")
        if "".join(table.find(".//tbody/tr/th").itertext() if table.find(".//tbody/tr/th") is not None else "")
        == "thing_0"
    )
    heads = [["".join(cell.itertext()) for cell in table.findall("./thead/tr/th")] for table in (conservation, planned)]
    assert heads == [["Entity", "Source", "Unchanged", "Quarantined", "Sum"], ["Entity", "leave unchanged"]]
    assert [row.find("th").text for row in planned.findall("./tbody/tr")] == names
    assert "Created · Updated · Adopted" in html  # what no row became is said in one line


def test_details_of_criteria_name_entities_as_people_do():
    told = Measurement(metric="coverage", value=0.97, evidence=9, detail="account 97.561 %, contact_x 1, account.y 2")
    gate = judge_gate("load", [Criterion(metric="coverage", comparison=Comparison.AT_LEAST, threshold=0.9)], [told])
    assert "客户 97.561 %, contact_x 1, account.y 2" in render_acceptance(acceptance(gates=(gate,)), "zh")


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
