"""What a checker is shown of a legacy row: whatever may be personal is masked, also where no mapping reads it."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.parquet as pq

from rollout.phases.sample_rows import SampleRows
from rollout.project.loader import load_project


def shown(small, stage, **options):
    project = load_project(small.root / "rollout.yaml", environ={})
    rows = SampleRows(SimpleNamespace(project=project), target=None, golden={}, **{"unmasked": False, **options})
    [row] = pq.read_table(small.store.root / stage.file).to_pylist()
    return rows._legacy_row(row).cells


def test_a_column_is_read_as_its_own_source_maps_it(small):
    """客户 has a 代码 that is none of anybody's secrets; the 代码 of a person, which nothing reads, may be anything."""
    small.write("people.csv", "编号|姓名|客户|手机|代码", "P1|张三丰|E1|13800138000|13900139000")
    stage = small.read("contact", 0)
    assert shown(small, stage) == {
        "编号": "P1",
        "姓名": "张**",
        "客户": "E1",
        "手机": "138******00",
        "代码": "1***",
    }
    assert shown(small, stage, unmasked=True)["代码"] == "13900139000"
    small.accounts("E1|甲公司|91350211M000100Y43|东")
    assert shown(small, small.read("account", 0))["代码"] == "91350211M000100Y43"
