"""Pairs weighed by a model: what speaks for and against, what is kept for the next time, what is refused."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.errors import ConfigError
from rollout.match.comparisons import KINDS, LEVEL_KEYS
from rollout.match.layout import Layout
from rollout.match.model import MemoryModels, settings_digest
from rollout.match.spec import MatchModel
from rollout.match.weigh import weigh_pairs
from rollout.phases.stages import engine

COMPANIES = [
    # name, phone, address; made up
    ("青岛蓝岬精密机械有限公司", "+8613800000101", "山东省青岛市云霞路12号"),
    ("青岛市藍岬精密机械有限责任公司", "+8613800000101", "云霞路12号"),
    ("青岛红屿贸易有限公司", "+8613800000202", "山东省青岛市云霞路12号"),
    ("青岛蓝岬精密机械有限公司烟台分公司", "+8613800000101", "烟台市海港路3号"),
    ("南昌灰雁纺织有限公司", "+8613800000303", "江西省南昌市湖滨路77号"),
    ("成都灰雁纺织有限公司", "+8613800000303", "四川省成都市锦里街5号"),
]
MODEL = MatchModel(
    comparisons={"name": "company_name", "phone": "phone", "address": "address"}, merge_above=0.9, review_above=0.01
)


def clean_stage(path, rows):
    names = ("name", "phone", "address")
    pq.write_table(
        pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)}), path
    )
    return path


def weighed(tmp_path, rows, model=MODEL, store=None):
    clean = clean_stage(tmp_path / "clean.parquet", rows)
    fields = {name: name for name in ("name", "phone", "address")}
    with engine(tmp_path) as connection:
        found = weigh_pairs(
            connection, clean, fields=fields, model=model, store=store or MemoryModels(), where="account"
        )
        left_behind = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert left_behind == []
    return found


def by_rows(found):
    return {(pair["left"], pair["right"]): pair for pair in found.table.to_pylist()}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return weighed(tmp_path_factory.mktemp("few"), COMPANIES)


def test_spellings_of_one_company_are_found_and_explained(few):
    pair = by_rows(few)[0, 1]
    assert pair["rule"] == "model"
    assert pair["probability"] > MODEL.merge_above
    told = {level for _, level, _ in json.loads(pair["why"])}
    assert {"company_name.brand.same", "company_name.wording.registered", "phone.phone.same"} <= told
    assert {f"level.{level}" for level in told} <= set(LEVEL_KEYS)
    weights = [abs(weight) for _, _, weight in json.loads(pair["why"])]
    assert weights == sorted(weights, reverse=True)


def test_neighbours_branches_and_sisters_are_not_merged(few):
    pairs = by_rows(few)
    for pair in ((0, 2), (1, 2), (4, 5)):
        assert pair not in pairs or pairs[pair]["probability"] < MODEL.merge_above
    assert any(level == "company_name.wording.branch" for _, level, _ in json.loads(pairs[0, 3]["why"]))


def test_few_rows_keep_what_is_assumed_and_say_so(few):
    assert [finding.id for finding in few.findings] == ["match.not_trained"]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_next_to_nothing_is_weighed_and_teaches_nothing(tmp_path, rows):
    store = MemoryModels()
    found = weighed(tmp_path, COMPANIES[:rows], store=store)
    assert found.table.num_rows == max(rows - 1, 0)
    assert store.load(settings_digest(Layout(MODEL, "account"))) is None


def many(rows=240):
    signs = "赤橙黄绿青蓝紫灰白黑金银铜铁锡木水火土石"
    made = []
    for number in range(rows):
        brand = signs[number % 20] + signs[number // 20 % 20] + signs[number * 7 % 20]
        made.append((f"青岛{brand}机械有限公司", f"+86138{number:08d}", f"云霞路{number}号"))
        if number % 4 == 0:
            made.append((f"{brand}机械", f"+86138{number:08d}", f"青岛市云霞路{number}号"))
    return made


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    store = MemoryModels()
    return weighed(tmp_path_factory.mktemp("many"), many(), store=store), store


def test_a_kept_model_weighs_old_pairs_the_same_with_more_rows(tmp_path, learnt):
    first, store = learnt
    rows, before = many(), by_rows(first)
    again = weighed(tmp_path, [*rows, *((name, phone, None) for name, phone, _ in rows[:3])], store=store)
    assert len(before) > 50
    assert {key: (pair["weight"], pair["why"]) for key, pair in before.items()} == {
        key: (pair["weight"], pair["why"]) for key, pair in by_rows(again).items() if max(key) < len(rows)
    }
    assert again.model.rows == len(rows)


def test_training_twice_gives_one_model(tmp_path, learnt, monkeypatch):
    monkeypatch.setattr("rollout.match.training._PRIOR_PAIRS", 60)  # a share of the pairs is enough
    first, second = learnt[0].model, weighed(tmp_path, many()).model
    assert second.prior == pytest.approx(first.prior, rel=0.5)
    for name, levels in first.levels.items():
        for one, other in zip(levels, second.levels[name], strict=True):
            assert one.m == pytest.approx(other.m, rel=1e-6)
    assert first.terms == second.terms


def test_blocks_that_are_too_large_are_told_and_not_compared(tmp_path):
    rows = [(f"青岛{chr(0x4E00 + number)}{chr(0x5E00 + number)}机械", "+8653280000000", None) for number in range(30)]
    found = weighed(tmp_path, rows, MODEL.model_copy(update={"max_block_rows": 5}))
    assert found.compared == 0
    assert {finding.id for finding in found.findings} == {"match.not_trained", "match.block_too_large"}


def test_thresholds_move_without_training_and_comparisons_do_not():
    moved = MODEL.model_copy(update={"merge_above": 0.95, "review_above": 0.5})
    other = MatchModel(comparisons={"name": "text", "phone": "phone"})
    assert settings_digest(Layout(MODEL, "a")) == settings_digest(Layout(moved, "a"))
    assert settings_digest(Layout(MODEL, "a")) != settings_digest(Layout(other, "a"))
    anew = MODEL.model_copy(update={"training": 2})
    assert settings_digest(Layout(MODEL, "a")) != settings_digest(Layout(anew, "a"))


def test_a_model_that_the_data_outgrew_is_told_and_trained_anew_where_the_project_says_so(tmp_path, learnt):
    first, store = learnt
    more = 10 * first.model.rows
    rows = [(f"青岛{chr(0x4E00 + number)}{chr(0x5E00 + number)}机械", None, None) for number in range(more)]
    grown = weighed(tmp_path, rows, store=store)
    assert [(finding.id, finding.count) for finding in grown.findings] == [("match.model_outgrown", more)]
    anew = weighed(tmp_path, many(), MODEL.model_copy(update={"training": 2}), store=store)
    assert anew.findings == ()
    assert store.load(settings_digest(Layout(MODEL.model_copy(update={"training": 2}), "account"))) == anew.model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"comparisons": {"name": "companyname"}}, "did you mean 'company_name'"),
        ({"comparisons": {"name": {"kind": "text", "args": {"pinyin": True}}}}, "takes none"),
        ({"comparisons": {"name": "company_name"}, "blocking": [["name.nobody"]]}, "its parts"),
        ({"comparisons": {"level": "exact"}}, "declare `blocking`"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_hint(model, says):
    with pytest.raises(ConfigError) as refused:
        _ = Layout(MatchModel.model_validate(model), "account").rules
    assert says in (refused.value.hint or "")


def test_without_pinyin_nothing_sounds_alike(tmp_path):
    rows = [("青岛蓝岬机械有限公司", "+8613800000101", None), ("青岛兰甲机械有限公司", "+8613800000101", None)]
    model = {"comparisons": {"name": {"kind": "company_name", "args": {"pinyin": False}}, "phone": "phone"}}
    for comparisons, heard in ((MODEL.comparisons, True), (MatchModel.model_validate(model).comparisons, False)):
        found = by_rows(
            weighed(tmp_path, rows, MODEL.model_copy(update={"comparisons": comparisons, "review_above": 1e-9}))
        )
        assert ("brand.sound" in found[0, 1]["why"]) is heard


def test_every_kind_says_what_it_makes():
    for kind in KINDS.values():
        assert set(kind.make(pa.array(["2024-01-02 abc 甲乙 12", None]))) == set(kind.parts)


def test_a_rule_over_all_that_is_compared_teaches_nothing_and_brings_rows_together(tmp_path):
    model = MatchModel(comparisons={"phone": "phone"}, blocking=(("phone",),), review_above=0.01)
    assert weighed(tmp_path, COMPANIES * 40, model).compared > 0


def test_only_what_is_certain_waits_for_a_person_where_the_project_says_so(tmp_path):
    model = MODEL.model_copy(update={"merge_above": 1.0, "review_above": 1.0})
    assert weighed(tmp_path, COMPANIES, model).table.num_rows == 0
