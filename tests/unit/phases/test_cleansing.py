"""An entity through cleansing: references, quarantine, conservation, reuse, bad input."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from rollout.cleanse.words import RowWord, row_hash
from rollout.errors import ConfigError
from rollout.phases.cleanse import ledger_rows
from rollout.phases.maps import read_map
from rollout.phases.said import Said

CODE = "91110000600037341L"


def rows(small, file, *columns):
    return [tuple(row.values()) for row in pq.read_table(small.store.root / file, columns=list(columns)).to_pylist()]


def codes(small, done):
    return sorted(rows(small, done.quarantine_file, "_source_key", "field", "reason_code"))


def test_contacts_follow_their_account_into_its_golden_record(small):
    small.accounts(f"E1|甲公司|{CODE}|东", f"E2|甲有限公司|{CODE}|")
    small.people("P1|张三|E1|", "P2|张三|E2|", "P3|李四||")
    done = small.cleanse()
    assert rows(small, done["account"].merges_file, "source_key", "golden_key", "rule") == [
        ("east:E2", "east:E1", "same code")
    ]
    assert sorted(rows(small, done["contact"].golden_file, "_golden_key", "account", "_members")) == [
        ("people:P1", "east:E1", 2),
        ("people:P3", None, 1),
    ]
    assert rows(small, done["contact"].clean_file, "account") == [("E1",), ("E2",), (None,)]


def test_every_way_a_parent_can_be_missing(small):
    small.accounts("E1|甲||", "E2|乙|错|", "S1|丙||")
    small.people("P1|a|E9|", "P2|b|E2|", "P3|c|S1|", "P4|d|E1|", "P5||E9|12")
    done = small.cleanse()["contact"]
    assert codes(small, done) == [
        ("people:P1", "account", "parent_missing"),
        ("people:P2", "account", "parent_quarantined"),
        ("people:P3", "account", "parent_ambiguous"),
        ("people:P5", "account", "parent_missing"),
        ("people:P5", "mobile", "phone_invalid"),
        ("people:P5", "name", "required_missing"),
    ]
    assert (done.source, done.golden, done.quarantined, done.accounted) == (5, 1, 4, True)
    assert done.problems == {
        "parent_ambiguous": 1,
        "parent_missing": 2,
        "parent_quarantined": 1,
        "phone_invalid": 1,
        "required_missing": 1,
    }


def test_a_key_that_rows_of_one_source_share_is_no_ones(small):
    small.accounts("E1|甲||", "E1|乙||", "E2|丙||", "E2|丙||")
    small.people("P1|a|E1|", "P2|b|E1~2|", "P3|c|east:E1|", "P4|d|east:E1~2|", "P5|e|E2|")
    small.replace("rollout.yaml", "fields: [uscc]", "fields: [name]")
    done = small.cleanse()["contact"]
    assert codes(small, done) == [("people:P1", "account", "parent_ambiguous")]
    assert sorted(rows(small, done.golden_file, "_golden_key", "account")) == [
        ("people:P2", "east:E1~2"),
        ("people:P3", "east:E1"),
        ("people:P4", "east:E1~2"),
        ("people:P5", "east:E2"),
    ]
    assert (done.source, done.golden, done.quarantined, done.accounted) == (5, 4, 1, True)


def test_a_key_that_ends_in_a_number_of_its_own_is_no_repetition(small):
    small.accounts("E1~2|甲||", "E2|乙||")
    small.people("P1|a|E1|", "P2|b|E1~2|")
    done = small.cleanse()["contact"]
    assert codes(small, done) == [("people:P1", "account", "parent_missing")]


def test_a_reference_may_be_dropped_instead(small):
    small.replace("mappings/contact.yaml", "lookup: account", 'lookup: account, on_error: "null"')
    small.people("P1|a|E9|", "P2|b|E1|")
    done = small.cleanse()["contact"]
    assert sorted(rows(small, done.golden_file, "_golden_key", "account")) == [
        ("people:P1", None),
        ("people:P2", "east:E1"),
    ]
    told = [(finding.id, finding.count, finding.detail["done"]) for finding in done.findings if "parent" in finding.id]
    assert told == [("cleanse.parent_missing", 1, "dropped")]


def with_groups(small):
    """Accounts that belong to accounts."""
    small.replace(
        "rollout.yaml",
        "      uscc: {type: uscc}",
        "      uscc: {type: uscc}\n      parent: {type: reference, references: account}",
    )
    for mapping in ("account", "south"):
        path = small.root / "mappings" / f"{mapping}.yaml"
        path.write_text(path.read_text() + "  - {target: parent, source: 上级, lookup: account}\n")
    small.write("south.csv", "编号|名称|代码|区域|上级", "S1|乙公司|||E2")

    def accounts(*rows):
        small.write("east.csv", "编号|名称|代码|区域|上级", *rows)

    return accounts


def test_records_refer_to_records_of_their_own_kind(small):
    accounts = with_groups(small)
    accounts(
        f"E1|甲公司|{CODE}||S1", f"E2|甲有限公司|{CODE}||", "E3|丙|||E1", "E4|丁|||E9", "E5|戊|错||E1", "E6|己|||E5"
    )
    done = small.cleanse()["account"]
    assert sorted(rows(small, done.golden_file, "_golden_key", "parent")) == [
        ("east:E1", "south:S1"),
        ("east:E3", "east:E1"),
        ("east:E4", None),
        ("east:E6", None),
        ("south:S1", "east:E1"),
    ]
    told = {finding.id: (finding.count, finding.detail) for finding in done.findings if "parent" in finding.id}
    assert told == {
        "cleanse.parent_missing": (1, {"done": "dropped", "first": "east:E4"}),
        "cleanse.parent_quarantined": (1, {"done": "dropped", "first": "east:E6"}),
    }
    assert done.accounted
    assert small.cleanse()["account"] == done
    assert rows(small, small.cleanse()["contact"].golden_file, "account") == [("east:E1",)]


def test_a_new_parent_is_found_though_the_child_s_own_rows_are_as_they_were(small):
    accounts = with_groups(small)
    small.replace(
        "rollout.yaml",
        "      mobile: {type: phone, personal: true}",
        "      mobile: {type: phone, personal: true}\n      parent: {type: reference, references: account}",
    )
    accounts("E1|甲|||E3")
    assert ("east:E1", None) in rows(small, small.cleanse()["account"].golden_file, "_golden_key", "parent")
    accounts("E1|甲|||E3", "E3|丙|||")
    assert ("east:E1", "east:E3") in rows(small, small.cleanse()["account"].golden_file, "_golden_key", "parent")


def test_empty_lines_are_skipped_not_lost(small):
    small.accounts("E1|甲||", "|||", "E2|乙||")
    done = small.cleanse()["account"]
    assert done.accounted
    dispositions = {key: (where, golden) for key, where, golden, *_ in ledger_rows(small.store, done)}
    assert dispositions["east:E1"] == ("golden", "east:E1")
    assert len(dispositions) == done.source


def test_the_ledger_has_every_source_row_once(small):
    small.accounts(f"E1|甲|{CODE}|", f"E2|乙|{CODE}|", "E3||错|火星", "E3|x||")
    done = small.cleanse()["account"]
    ledger = list(ledger_rows(small.store, done))
    assert sorted(row[0] for row in ledger) == ["east:E1", "east:E2", "east:E3", "east:E3~2", "south:S1"]
    assert ("east:E3", "quarantined", None, "required_missing,uscc_length", "all") in ledger
    assert ("east:E2", "merged", "east:E1", "same code", "all") in ledger


def test_cleansing_again_is_free_until_something_changes(small):
    first = small.cleanse()
    written = {path: path.stat().st_mtime_ns for path in small.store.root.rglob("*.parquet")}
    assert small.cleanse() == first
    assert {path: path.stat().st_mtime_ns for path in small.store.root.rglob("*.parquet")} == written
    small.replace("mappings/region.csv", "东,华东", "东,华南")
    second = small.cleanse()
    assert second["account"].key != first["account"].key
    assert second["contact"].key != first["contact"].key, "a child's stage follows its parent's"


def test_a_stage_that_was_deleted_is_made_again(small):
    first = small.cleanse()["account"]
    (small.store.root / first.golden_file).unlink()
    assert small.cleanse()["account"] == first
    assert (small.store.root / first.golden_file).exists()


def test_nothing_temporary_stays(small):
    small.cleanse()
    names = [path.name for path in small.store.root.rglob("*") if path.is_file()]
    assert not [name for name in names if name.startswith((".", "mapped", "rejected"))]


def test_each_file_that_lacks_a_mapped_column_is_named(small):
    small.write("east_b.csv", "编号|名称|区域", "1|x|东")
    small.write("east_c.csv", "编号|名称", "2|y")
    with pytest.raises(ConfigError, match=r"east_b\.csv lacks 代码; .*east_c\.csv lacks 代码, 区域"):
        small.cleanse()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("legacy,user\na,b\n", r"map\.csv:1: the columns raw, value are needed"),
        ("raw,value\na,\n", r"map\.csv:2: a line needs both columns"),
        ("raw,value\na,1\nＡ,2\n", r"map\.csv:3: 'Ａ' is mapped to '1' and to '2'"),
    ],
)
def test_a_wrong_value_map_names_its_line(tmp_path, text, told):
    (tmp_path / "map.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        read_map(tmp_path / "map.csv", "raw", "value", shown="map.csv")


def test_a_value_map_in_another_encoding_is_an_error_not_a_traceback(tmp_path):
    (tmp_path / "map.csv").write_bytes("raw,value\n东,华东\n".encode("gb18030"))
    with pytest.raises(ConfigError, match="save it as CSV in UTF-8"):
        read_map(tmp_path / "map.csv", "raw", "value", shown="map.csv")


def test_a_row_with_a_value_in_an_unmapped_column_is_not_blank(small):
    small.write("east.csv", "编号|名称|代码|区域|传真", "E1|甲公司||东|", "  ||||021-52345678", "  ||||")
    done = small.cleanse()["account"]
    assert (done.skipped, done.quarantined, done.accounted) == (1, 1, True)


def test_a_default_longer_than_its_field_is_refused(small):
    small.replace("rollout.yaml", "uscc: {type: uscc}", "uscc: {type: text, max_length: 3}")
    small.replace("mappings/account.yaml", "source: 代码", 'source: 代码, on_error: default, default: "abcd"')
    with pytest.raises(ConfigError, match="the default 'abcd' is no value"):
        small.cleanse()


def test_what_people_said_reaches_rows_of_later_chunks(small):
    rows = [f"E{at}|公司{at}||东" for at in range(2100)]
    rows[2050], rows[5] = "E2050||x|东", "E5||x|东"
    small.accounts(*rows)

    def word(at, **chosen):
        cells = dict(zip(("编号", "名称", "代码", "区域"), rows[at].split("|"), strict=True))
        return RowWord(f"east:E{at}", row_hash(cells), **chosen)

    repaired = (("name", "修好公司"), ("uscc", "91110000600037341L"))
    words = (word(5, fields=repaired[:1]), word(2050, fields=repaired), word(2099, left_out=True))
    done = small.cleanse({"account": Said(rows=words)})["account"]
    golden = pq.read_table(small.store.root / done.golden_file).to_pylist()
    assert {row["_golden_key"]: row["uscc"] for row in golden if row["name"] == "修好公司"} == {
        "east:E2050": "91110000600037341L"
    }
    assert (done.repaired, done.left_out, done.quarantined, done.skipped, done.accounted) == (2, 1, 1, 1, True)
