"""Records that people entered before the load, found by the match model: a person says whether they are ours."""

from __future__ import annotations

import pytest

from rollout.errors import DriftError
from rollout.journal import pair_decisions
from rollout.journal.match_models import JournalModels
from rollout.match.weigh import weigh_pairs
from rollout.phases.adoption_likely import read_likely
from rollout.phases.stages import engine
from tests.integration.load._projects import with_rules

PLACES = ("上海", "苏州", "宁波", "无锡")
NAMES = [f"{place}{brand}机械有限公司" for place in PLACES for brand in ("恒远", "天工", "明达", "信诚", "博瑞")]
ACCOUNTS = {
    f"s:{at}": {"name": name, "phone": f"+862161{at:06}", "note": "ours"}
    for at, name in enumerate([*NAMES, *NAMES[:6]])
}


@pytest.fixture
def bench(make_bench):
    bench = make_bench()
    comparisons = {"name": "company_name", "phone": "phone"}
    blocking = [["name.brand"], ["phone"], ["note"]]  # the last is not compared
    model = {"comparisons": comparisons, "blocking": blocking, "review_above": 0.5}
    with_rules(bench, account={"keys": [{"name": "phone", "fields": ["phone"]}], "model": model}, contact={})
    return bench


def trained(bench):
    context = bench.context
    path = next((context.project.workspace.stages / "account").glob("golden*.parquet"))
    with engine(context.project.workspace.stages) as connection:
        weigh_pairs(
            connection,
            path,
            fields={name: name for name in ("name", "phone", "note")},
            model=context.project.spec.match["account"].model,
            store=JournalModels(context.journal, "account"),
        )


def decide(bench, key, target_id, verdict):
    journal = bench.context.journal
    made = pair_decisions.decision(key, pair_decisions.in_target("test", target_id), verdict)
    with journal.transaction() as connection:
        pair_decisions.record(
            connection,
            journal.project_id,
            "account",
            [made],
            handout_id=None,
            person="director",
            reason="seen",
            at=bench.context.clock(),
        )


def test_a_likely_record_waits_for_a_person_who_says_whether_it_is_ours(bench):
    name = "上海市恒远机械有限责任公司"
    entered = bench.crm.add("account", {"name": name, "phone": "+862161000000", "note": "typed"}, user="sales")
    bench.crm.add("account", {"name": "无关的一家企业", "phone": None}, user="sales")
    ours = {**ACCOUNTS, "s:0": {**ACCOUNTS["s:0"], "phone": "+862161000001"}, "s:1": {**ACCOUNTS["s:1"], "phone": None}}
    bench.golden(ours)
    trained(bench)
    plan = bench.plan().entities["account"]
    pairs, held = read_likely(bench.context.project.workspace.stages / "account")
    waiting = {pair["left_key"] for pair in pairs}
    assert "s:0" in waiting
    assert plan.conflicts == {"adoption_ambiguous": len(waiting)}
    assert held[pairs[0]["right_key"]]["name"] == name
    for key in waiting:
        decide(bench, key, entered, "same" if key == "s:0" else "different")
    plan = bench.plan().entities["account"]
    assert (plan.adopt, plan.conflicts) == (1, {})
    assert read_likely(bench.context.project.workspace.stages / "account") == ([], {})
    decide(bench, "s:0", entered, "different")
    plan = bench.plan().entities["account"]
    assert (plan.adopt, plan.create, plan.conflicts) == (0, len(ours), {})


def test_a_word_about_a_record_of_the_target_refuses_the_plan_that_was_made_before_it(make_bench):
    bench = make_bench()
    entered = bench.crm.add("account", {"name": "恒远机械", "phone": "+862161000000", "note": "typed"}, user="sales")
    with_rules(bench, account={"keys": [{"name": "phone", "fields": ["phone"]}]}, contact={})
    bench.golden({"s:0": {"name": "恒远", "phone": "+862161000000", "note": "ours"}})
    plan = bench.plan()
    assert plan.entities["account"].adopt == 1
    bench.approve()
    decide(bench, "s:0", entered, "different")
    with pytest.raises(DriftError, match="'account' people call the same"):
        bench.load()
    plan = bench.plan()
    assert (plan.entities["account"].adopt, plan.entities["account"].create) == (0, 1)
