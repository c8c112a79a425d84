"""Promise 1 for cleansing: whatever the files hold, every source row is in exactly one place."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rollout.phases.cleanse import ledger_rows

_spec = importlib.util.spec_from_file_location("small", Path(__file__).parents[1] / "unit" / "phases" / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
__import__("sys").modules["small"] = _module
_spec.loader.exec_module(_module)

KEY = st.sampled_from(["", "1", "2", "3", " 1", "１", "1~2", "-", "@"])
ACCOUNT = st.tuples(
    KEY,
    st.sampled_from(["", "甲", "乙（上海）", "=1", "无"]),
    st.sampled_from(["", "91110000600037341L", "91110000600037341l", "9.1E+17", "x"]),
    st.sampled_from(["", "东", "华南", "火星"]),
)
PERSON = st.tuples(
    KEY,
    st.sampled_from(["", "张三", "李四\n"]),
    KEY,
    st.sampled_from(["", "13800138000", "12", "138 0013 8000/139 0013 9000"]),
)


# No shrinking: an example takes a second, and small ones come first anyway.
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(ACCOUNT, max_size=8), st.lists(ACCOUNT, max_size=4), st.lists(PERSON, max_size=8))
def test_every_row_is_accounted_for(tmp_path_factory, east, south, people):
    small = _module.make(tmp_path_factory.mktemp("small"))
    small.accounts(*map("|".join, east))
    small.accounts(*map("|".join, south), file="south.csv")
    small.people(*map("|".join, people))
    done = small.cleanse()
    assert done["account"].source <= len(east) + len(south)
    for entity in done.values():
        assert entity.accounted
        assert entity.clean == entity.golden + entity.merged
        raw = [key for file in entity.raw_files for key in keys(small, file, "_source_key")]
        ledger = list(ledger_rows(small.store, entity))
        assert sorted(row[0] for row in ledger) == sorted(raw)
        clean, held = (set(keys(small, file, "_source_key")) for file in (entity.clean_file, entity.quarantine_file))
        assert not clean & held
        golden = set(keys(small, entity.golden_file, "_golden_key"))
        assert set(keys(small, entity.merges_file, "golden_key")) <= golden
        if entity.entity == "contact":
            parents = set(keys(small, entity.golden_file, "account")) - {None}
            assert parents <= set(keys(small, done["account"].golden_file, "_golden_key"))


def keys(small, file, column):
    return pq.read_table(small.store.root / file, columns=[column])[column].to_pylist()
