"""Waves part the source: whatever the files and filters are, each row is in one wave, and none before its parents."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rollout.phases.cleanse import ledger_rows

_spec = importlib.util.spec_from_file_location("small", Path(__file__).parents[1] / "unit" / "phases" / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
__import__("sys").modules["small"] = _module
_spec.loader.exec_module(_module)

KEY = st.sampled_from(["", "1", "2", "3", "4"])
ACCOUNT = st.tuples(
    KEY,
    st.sampled_from(["", "甲", "乙", "丙"]),
    st.sampled_from(["", "91110000600037341L", "x"]),
    st.sampled_from(["", "东", "南", "火星"]),
)
PERSON = st.tuples(KEY, st.sampled_from(["", "张三", "李四"]), KEY, st.sampled_from(["", "13800138000", "12"]))
FILTER = st.fixed_dictionaries(
    {},
    optional={
        "account": st.fixed_dictionaries(
            {"region": st.lists(st.sampled_from(["华东", "华南"]), min_size=1, unique=True)},
            optional={"name": st.just(["甲", "乙"])},
        ),
        "contact": st.fixed_dictionaries({"name": st.sampled_from([["张三"], ["李四", "王'五"]])}),
    },
).filter(bool)


def expected(record, entity, waves, parent):
    """The rule as it reads, one wave after the other. ``parent``: place of its parent's wave, None where it has none."""
    for place, wave in enumerate(waves[:-1]):
        named = wave["where"].get(entity)
        if named is None:
            if parent == place:
                return wave["name"]
        elif all(record[field] in values for field, values in named.items()) and (parent is None or parent <= place):
            return wave["name"]
    return waves[-1]["name"]


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(ACCOUNT, max_size=6),
    st.lists(ACCOUNT, max_size=3),
    st.lists(PERSON, max_size=8),
    st.lists(FILTER, max_size=3),
)
def test_each_row_is_in_one_wave_and_none_before_its_parent(tmp_path_factory, east, south, people, filters):
    small = _module.make(tmp_path_factory.mktemp("small"))
    small.replace("mappings/region.csv", "东,华东", "东,华东\n南,华南")
    small.accounts(*map("|".join, east))
    small.accounts(*map("|".join, south), file="south.csv")
    small.people(*map("|".join, people))
    waves = [{"name": f"w{at}", "where": where} for at, where in enumerate(filters)] + [{"name": "rest"}]
    with (small.root / "rollout.yaml").open("a", encoding="utf-8") as stream:
        stream.write(yaml.safe_dump({"waves": waves}, allow_unicode=True))
    done = small.cleanse()
    places = {wave["name"]: place for place, wave in enumerate(waves)}
    wave_of = {}
    for entity, result in done.items():
        rows = list(ledger_rows(small.store, result))
        assert result.accounted
        assert len({row[0] for row in rows}) == len(rows) == result.source == sum(result.waves.values())
        wave_of[entity] = {row[0]: row[4] for row in rows}
        assert set(wave_of[entity].values()) <= set(places)
        for key, disposition, golden_key, _, wave in rows:
            assert disposition != "merged" or wave == wave_of[entity][golden_key], key
        for record in pq.read_table(small.store.root / result.golden_file).to_pylist():
            above = record.get("account")
            parent = None if above is None else places[wave_of["account"][above]]
            wave = expected(record, entity, waves, parent)
            assert record["_wave"] == wave_of[entity][record["_golden_key"]] == wave
            assert parent is None or places[wave] >= parent
