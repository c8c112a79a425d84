"""Duplicates, orphans and dormant records of a small project, on raw rows, before anybody decided anything."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rollout.match.model import MemoryModels
from rollout.match.weigh import weigh_pairs
from rollout.phases import assess_entities
from rollout.phases.assess import assess
from rollout.phases.context import PhaseContext
from rollout.phases.stages import engine
from rollout.project.loader import load_project


@pytest.fixture
def models(monkeypatch) -> MemoryModels:
    kept = MemoryModels()
    monkeypatch.setattr(assess_entities, "JournalModels", lambda _journal, _entity: kept)
    return kept


def assessed(small):
    project = load_project(small.root / "rollout.yaml", environ={})
    spec = project.spec
    stages = {
        name: [small.read(name, at) for at in range(len(spec.entities[name].sources))] for name in spec.load_order
    }
    context = PhaseContext(project=project, journal=None, clock=lambda: datetime(2026, 3, 4, tzinfo=UTC))
    found = assess(context, stages, run_id="r")
    assert list(small.store.root.glob(".assess-*")) == []  # what it kept of people's rows is gone
    return {entity.name: entity for entity in found.entities}, found


CODE = "91310000MA1K35RU4P"


def test_exact_and_likely_duplicates_are_told_apart(small, models):
    small.accounts(
        f"E1|甲贸易有限公司|{CODE}|东",
        f"E2|甲贸易（有限）公司|{CODE}|东",  # the same code
        "E3|乙 机械有限责任公司||东",
        "E4|乙机械有限公司||东",  # the same name in another spelling
        "E5|丙化工有限公司||东",
    )
    small.people("P1|张三|E1|13800138000", "P2|张三|E1|", "P3|李四|E1|13900139000", "P4|李四|E3|13900139000")
    entities, _ = assessed(small)
    account, contact = (entities[name].figures.duplicates for name in ("account", "contact"))
    assert (account.records, account.exact, account.likely, account.method) == (6, 1, 1, "name")
    assert [(key.name, key.records) for key in account.keys] == [("same code", 1)]
    assert (contact.exact, contact.likely, contact.fields) == (1, 1, ("name", "mobile"))


def test_many_records_are_estimated_from_a_sample(small, models, monkeypatch):
    monkeypatch.setattr("rollout.phases.assess_duplicates.LIKELY_ROWS", 1000)
    small.accounts(*(f"E{place}|字号{place // 2}号有限公司||东" for place in range(4000)))
    duplicates = assessed(small)[0]["account"].figures.duplicates
    assert duplicates.sampled == 1000
    assert duplicates.likely == pytest.approx(2000, rel=0.35)


def test_rows_that_repeat_a_record_by_declaration_are_no_duplicates(small, models):
    small.replace(
        "rollout.yaml",
        "row_key: [编号], mapping: mappings/south.yaml",
        "row_key: [编号], repeats: same, mapping: mappings/south.yaml",
    )
    small.accounts("S1|乙公司||华南", "S1|乙公司||华南", "S2|丙公司||华南", file="south.csv")
    small.people("P1|张三|S1|13800138000", "P2|李四|S9|13900139000")
    entities, found = assessed(small)
    assert entities["account"].figures.duplicates.records == 3  # one of the east, two of the south
    assert entities["account"].figures.duplicates.exact == 0
    told = {(one.id, one.where): one.count for one in found.findings}
    assert told["assess.reference_unknown", "people/客户"] == 1
    assert not any(id_ == "assess.key_repeated" for id_, _ in told)


def test_dormant_customers_count_once_whatever_their_copies_did(small, models):
    text = (small.root / "rollout.yaml").read_text(encoding="utf-8")
    text = text.replace(
        "mobile: {type: phone, personal: true}", "mobile: {type: phone, personal: true}\n      met_on: {type: date}"
    )
    text += (
        "dormant:\n  account:\n    after_years: 3\n"
        "    activity: [{entity: contact, reference: account, date: met_on}]\n"
    )
    (small.root / "rollout.yaml").write_text(text, encoding="utf-8")
    small.replace(
        "mappings/contact.yaml",
        "{target: mobile, source: 手机}",
        "{target: mobile, source: 手机}\n  - {target: met_on, source: 会面}",
    )
    small.accounts(f"E1|甲公司|{CODE}|东", f"E2|甲公司|{CODE}|东", "E3|丙公司||东", "E4|丁公司||东")
    small.write(
        "people.csv",
        "编号|姓名|客户|手机|会面",
        "P1|张三|E1||2026-01-05",
        "P2|李四|E3||2020/1/5",
        "P3||E4||2026-02-01",  # held back for its name, and yet somebody was there
    )
    entities, found = assessed(small)
    dormancy = entities["account"].figures.dormancy
    # E1 and E2 are one customer; E3 was last seen in 2020; S1 of the other source never.
    assert (dormancy.records, dormancy.dormant, dormancy.never) == (4, 2, 1)
    assert [one.count for one in found.findings if one.id == "assess.dormant"] == [2]
    assert entities["contact"].figures.volumes.field == "met_on"


@pytest.mark.attack
def test_the_trained_model_finds_what_names_do_not(small, models):
    small.replace(
        "rollout.yaml",
        "  account:\n    keys: [{name: same code, fields: [uscc]}]",
        "  account:\n    keys: [{name: same code, fields: [uscc]}]\n"
        "    model: {comparisons: {name: company_name, uscc: code}, review_above: 0.5, merge_above: 0.99}",
    )
    rows = [f"E{place}|上海字号{place}机械有限公司||东" for place in range(200)]  # a model is kept of enough rows only
    likely = [f"X{place}|上海字号{place}机械有限责任公司||东" for place in range(60)]
    small.accounts(*rows, *likely, f"Y|甲公司|{CODE}|东")
    assert assessed(small)[0]["account"].figures.duplicates.method == "name"
    model = load_project(small.root / "rollout.yaml", environ={}).spec.match["account"].model
    clean = small.store.root / small.cleanse()["account"].clean_file
    with engine(small.store.root) as connection:
        weigh_pairs(
            connection, clean, fields={"name": "name", "uscc": "uscc"}, model=model, store=models, where="account"
        )
    duplicates = assessed(small)[0]["account"].figures.duplicates
    assert (duplicates.method, duplicates.fields, duplicates.exact) == ("model", ("name", "uscc"), 0)
    assert duplicates.likely >= 1
