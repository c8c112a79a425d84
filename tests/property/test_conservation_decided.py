"""Promise 1 with people's word: whatever they repair, leave out or decide about dormant records, no row is lost."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rollout.cleanse.words import RowWord, row_hash
from rollout.phases.cleanse import ledger_rows
from rollout.phases.said import Said

_spec = importlib.util.spec_from_file_location("small", Path(__file__).parents[1] / "unit" / "phases" / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
__import__("sys").modules["small"] = _module
_spec.loader.exec_module(_module)

ENTITIES = """      parent: {type: reference, references: account}
      status: {type: text}
"""
VISIT = """
  visit:
    label: 拜访
    title_field: topic
    fields:
      topic: {type: text, required: true}
      account: {type: reference, references: account, required: true}
      contact: {type: reference, references: contact}
      held_on: {type: date}
    sources:
      - {name: visits, system: legacy, path: visits.csv, row_key: [编号], mapping: mappings/visit.yaml}
cleanse: {chunk_rows: 1000}
dormant:
  account:
    after_years: 1
    activity: [{entity: visit, reference: account, date: held_on}]
    freeze: {status: 冻结}
    pool: {status: null}
waves:
  - {name: first, where: {account: {region: [华东]}}}
  - {name: rest}
"""
VISIT_MAPPING = """
entity: visit
source: visits
fields:
  - {target: topic, source: 主题, required: true}
  - {target: account, source: 客户, lookup: account}
  - {target: contact, source: 联系人, lookup: contact, on_error: "null"}
  - {target: held_on, source: 日期}
"""
KEY = st.sampled_from(["1", "2", "3"])
ACCOUNT = st.tuples(
    KEY,
    st.sampled_from(["", "甲", "乙"]),
    st.sampled_from(["", "91110000600037341L", "x"]),
    st.sampled_from(["东", "华南"]),
    st.one_of(st.just(""), KEY),
)
PERSON = st.tuples(KEY, st.sampled_from(["", "张三", "李四"]), KEY, st.sampled_from(["", "13800138000", "12"]))
VISITED = st.tuples(
    KEY, st.sampled_from(["", "谈合同"]), KEY, KEY, st.sampled_from(["", "2020-01-01", "2026-06-01", "x"])
)
CHOICE = st.sampled_from(["keep", "frozen", "pool", "leave_out"])
DORMANT = st.dictionaries(st.sampled_from(["*", "east:1", "east:2", "east:3"]), CHOICE, max_size=3)
ROW_KEYS = ["1", "2", "3", "1~2", "2~2", "9"]
WORD = st.tuples(st.sampled_from(ROW_KEYS), st.sampled_from(["leave_out", "丙", "", "=1"]), st.booleans())
WORDS = st.lists(WORD, max_size=3, unique_by=lambda word: word[0])


def project(root: Path):
    small = _module.make(root)
    small.replace(
        "rollout.yaml",
        "      region: {type: picklist, picklist: [华东, 华南]}\n",
        f"""\
      region: {{type: picklist, picklist: [华东, 华南]}}
{ENTITIES}""",
    )
    small.replace("rollout.yaml", "cleanse: {chunk_rows: 1000}\n", VISIT.lstrip("\n"))
    small.replace(
        "rollout.yaml",
        "account: {type: reference, references: account}\n      mobile",
        "account: {type: reference, references: account, required: true}\n      mobile",
    )
    small.replace(
        "mappings/account.yaml",
        "source: 代码}",
        "source: 代码}\n  - {target: parent, source: 上级, lookup: account, on_error: 'null'}",
    )
    small.replace("mappings/account.yaml", "source: 代码}\n", "source: 代码}\n  - {target: status, const: 正常}\n")
    (root / "mappings" / "visit.yaml").write_text(VISIT_MAPPING, encoding="utf-8")
    small.accounts(file="south.csv")
    return small


def words(small, source, field, rows, columns, chosen):
    """What people said, about rows as they are (or, where ``stale``, as they no longer are)."""
    known = {}
    for row in rows:
        key, number = row[0], 2
        while key in known:
            key, number = f"{row[0]}~{number}", number + 1
        known[key] = dict(zip(columns, row, strict=True))
    return tuple(
        RowWord(
            f"{source}:{key}",
            "stale" if stale else row_hash(known.get(key, {})),
            fields=() if what == "leave_out" else ((field, what),),
            left_out=what == "leave_out",
        )
        for key, what, stale in chosen
    )


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(ACCOUNT, max_size=5),
    st.lists(PERSON, max_size=5),
    st.lists(VISITED, max_size=6),
    st.tuples(WORDS, WORDS, WORDS),
    DORMANT,
)
def test_every_row_is_accounted_for_whatever_people_say(tmp_path_factory, east, people, visits, said, dormant):
    small = project(tmp_path_factory.mktemp("small"))
    columns = {
        "east": ("编号", "名称", "代码", "区域", "上级"),
        "people": ("编号", "姓名", "客户", "手机"),
        "visits": ("编号", "主题", "客户", "联系人", "日期"),
    }
    small.write("east.csv", "|".join(columns["east"]), *map("|".join, east))
    small.people(*map("|".join, people))
    small.write("visits.csv", "|".join(columns["visits"]), *map("|".join, visits))
    decided = {
        "account": Said(
            rows=words(small, "east", "name", east, columns["east"], said[0]),
            dormant=tuple(sorted(dormant.items())),
        ),
        "contact": Said(rows=words(small, "people", "name", people, columns["people"], said[1])),
        "visit": Said(rows=words(small, "visits", "topic", visits, columns["visits"], said[2])),
    }
    done = small.cleanse(decided)
    for name, entity in done.items():
        assert entity.accounted
        raw = [key for file in entity.raw_files for key in keys(small, file, "_source_key")]
        ledger = list(ledger_rows(small.store, entity))
        assert sorted(row[0] for row in ledger) == sorted(raw)
        by_wave = {wave: sum(row[4] == wave for row in ledger) for wave in entity.waves}
        assert by_wave == entity.waves
        left_out = {word.source_key for word in decided[name].rows if word.left_out and word.row_hash != "stale"}
        assert {row[0] for row in ledger if row[3] == "left_out"} == left_out & set(raw)
        held = set(keys(small, entity.held_file, "_source_key"))
        assert held >= {row[0] for row in ledger if row[1] == "quarantined"}
    golden = {name: set(keys(small, entity.golden_file, "_golden_key")) for name, entity in done.items()}
    for child, field, parent in (
        ("account", "parent", "account"),
        ("contact", "account", "account"),
        ("visit", "account", "account"),
        ("visit", "contact", "contact"),
    ):
        assert set(keys(small, done[child].golden_file, field)) - {None} <= golden[parent]
    found = done["account"].dormant
    chosen = sum(found.choices.values())
    assert found.found == found.undecided + chosen
    assert "*" not in dormant or found.undecided == 0
    if "*" in dormant and dormant["*"] == "leave_out" and found.choices.get("leave_out"):
        assert done["account"].skipped >= found.choices["leave_out"]


def keys(small, file, column):
    return pq.read_table(small.store.root / file, columns=[column])[column].to_pylist()
