"""The raw stage: keys of one's own, nothing dropped, nothing read twice."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout.connectors.files import FilesConnector
from rollout.errors import ConfigError, Retryable
from rollout.phases.stages import StageStore, code_version, digest
from rollout.project.loader import load_project


def keys(small, stage):
    return pq.read_table(small.store.root / stage.file)["_source_key"].to_pylist()


def test_repeated_and_blank_keys_are_made_distinct_and_told(small):
    small.accounts("A|x||", "A|y||", " A |z||", "A~2|u||", "|v||", "Ｂ|w||")
    stage = small.read("account", 0)
    found = keys(small, stage)
    assert found[:4] + found[5:] == ["east:A", "east:A~3", "east:A~4", "east:A~2", "east:B"]
    assert re.fullmatch(r"east:@[0-9a-f]{16}", found[4])
    assert [
        (finding.id, finding.count, finding.where) for finding in stage.findings if finding.id.startswith("source.key")
    ] == [
        ("source.key_repeated", 2, "legacy/east.csv:3"),
        ("source.key_blank", 1, "legacy/east.csv:6"),
    ]


def test_a_row_without_key_stays_itself_when_others_are_inserted_and_another_never_takes_its_place(small):
    small.accounts("|v|1|", "|w|1|", "|w|1|")
    before = keys(small, small.read("account", 0))
    assert len(set(before)) == 3
    small.accounts("|u|1|", "A|x||", "|v|1|", "|w|1|", "|w|1|")
    after = keys(small, small.read("account", 0))
    assert after[2:] == before
    assert after[0] not in before


@pytest.mark.parametrize("tells", [False, True])
def test_rows_that_change_while_they_are_read_never_pass_for_those_before(small, monkeypatch, tells):
    """A table is emptied and filled again between the fingerprint and the rows: later it looks as it did before."""
    whole = ("A|x||", "B|y||")
    small.accounts(*whole)

    def read(reader, source, *, chunk_rows):
        small.accounts(whole[0])
        for chunk in original(reader, source, chunk_rows=chunk_rows):
            yield replace(chunk, fingerprint=reader.fingerprint(source)[0] if tells else None)
        if tells:
            small.accounts(*whole)

    original = FilesConnector.read
    with monkeypatch.context() as patched:
        patched.setattr(FilesConnector, "read", read)
        with pytest.raises(Retryable, match="source 'east' changed while it was read"):
            small.read("account", 0)
    small.accounts(*whole)
    assert keys(small, small.read("account", 0)) == ["east:A", "east:B"]


def test_keys_stay_distinct_across_chunks_and_files(small):
    small.accounts(*(f"K{at % 1500}|n||" for at in range(2500)), file="east_a.csv")
    small.accounts("K7|n||", file="east_b.csv")
    (small.root / "legacy" / "east.csv").unlink()
    found = keys(small, small.read("account", 0))
    assert len(set(found)) == len(found) == 2501
    assert found[1507] == "east:K7~2"
    assert found[2500] == "east:K7~3"


def test_files_with_other_columns_become_one_stage(small):
    small.write("east_b.csv", "编号|名称|代码|区域|传真", "Z|乙|||021")
    table = pq.read_table(small.store.root / small.read("account", 0).file)
    assert table["传真"].to_pylist() == [None, "021"]
    assert table["名称"].to_pylist() == ["甲公司", "乙"]


def test_an_unreadable_row_is_counted(small):
    small.accounts("A|x||东", "B|y|a|b|c|d|e", "C|z||东")
    stage = small.read("account", 0)
    assert stage.source_rows == 3
    done = small.cleanse()["account"]
    assert done.accounted
    assert done.source == 4


def test_reading_again_is_free_and_a_changed_file_is_read_anew(small):
    first = small.read("account", 0)
    stamp = (small.store.root / first.file).stat().st_mtime_ns
    assert small.read("account", 0) == first
    assert (small.store.root / first.file).stat().st_mtime_ns == stamp
    small.accounts("A|x||东")
    assert small.read("account", 0).file != first.file


def test_a_missing_key_column_names_file_and_columns(small):
    small.write("east.csv", "No|名称", "1|x")
    with pytest.raises(ConfigError, match=r"east\.csv.*编号.*No, 名称"):
        small.read("account", 0)
    assert not list(small.store.root.rglob("*.parquet"))


def test_a_stage_that_fails_leaves_nothing_behind(tmp_path):
    store = StageStore(tmp_path)
    path = store.path("account", "raw", digest("x"))

    def fail():
        with store.writer(path) as writer:
            writer.write(pa.table({"a": ["1"]}))
            writer.write("no table")

    with pytest.raises(AttributeError):
        fail()
    assert list(path.parent.iterdir()) == []


def test_a_file_without_rows(small):
    small.accounts()
    assert small.read("account", 0).rows == 0
    assert small.cleanse()["account"].source == 1


def test_stages_are_for_their_owner_alone(small):
    small.write("east_b.csv", "编号|名称|代码|区域|传真", "Z|乙|||021")  # other columns: parts that are joined
    small.cleanse()
    files = [path for path in small.store.root.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def test_a_damaged_description_is_no_stage(small):
    first = small.read("account", 0)
    (description,) = (small.store.root / "account").glob("raw_east-*.json")
    description.write_text(description.read_text(encoding="utf-8")[:40], encoding="utf-8")
    assert small.read("account", 0) == first


def test_a_header_without_rows_is_known_by_its_columns(small):
    small.write("east_b.csv", "编号|名称")
    stage = small.read("account", 0)
    assert [part.file for part in stage.parts] == ["legacy/east.csv", "legacy/east_b.csv"]
    mapping = load_project(small.root / "rollout.yaml", environ={}).mappings["account", "east"]
    assert stage.lacking(mapping) == {"legacy/east_b.csv": ["代码", "区域"]}
    with pytest.raises(ConfigError, match=r"legacy/east_b\.csv lacks 代码, 区域"):
        small.cleanse()


def test_columns_that_reading_adds_are_refused_in_a_source(small):
    small.write("east.csv", "编号|名称|代码|区域|_key", "A|甲||东|x")
    with pytest.raises(ConfigError, match="reserved: _key"):
        small.read("account", 0)


def test_stages_know_the_reader_that_made_them(small, monkeypatch):
    first = small.read("account", 0)
    monkeypatch.setattr("rollout.phases.stages.version", lambda _: "another")
    code_version.cache_clear()
    try:
        assert small.read("account", 0).key != first.key
    finally:
        monkeypatch.undo()
        code_version.cache_clear()
