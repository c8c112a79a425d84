"""Numbers and value maps: every mistake is a finding with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.project.loader import check_project
from rollout.project.starter import write_starter

ENVIRON = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "a-password"}


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def found(root: Path) -> list[str]:
    return [finding.id for finding in check_project(root / "rollout.yaml", environ=ENVIRON)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_starter(tmp_path)
    return tmp_path


def numbered(root: Path, field: str, authority: str = "rollout") -> None:
    number = f"    number: {{field: number, authority: {authority}}}\n"
    change(root / "rollout.yaml", "    title_field: name ", f"{number}    title_field: name ")
    change(root / "rollout.yaml", "    fields:\n", f"    fields:\n      number: {field}\n")


def mapped(root: Path) -> None:
    change(root / "mappings" / "account.yaml", "fields:\n", "fields:\n  - {target: number, source: 编号}\n")


@pytest.mark.parametrize(
    ("field", "authority", "is_mapped", "expected"),
    [
        ("{type: text}", "rollout", False, []),
        ("{type: text}", "rollout", True, ["project.number_mapped"]),
        ("{type: integer}", "rollout", False, ["project.number_type"]),
        ("{type: text}", "erp", False, ["project.number_unmapped"]),
        ("{type: text}", "erp", True, []),
        ("{type: text}", "crm", False, ["project.number_verify"]),
        ("{type: text, verify: false}", "crm", False, []),
        ("{type: text, required: true}", "erp", True, []),
    ],
)
def test_one_side_gives_a_number(root, field, authority, is_mapped, expected):
    numbered(root, field, authority)
    if is_mapped:
        mapped(root)
    assert found(root) == expected


def test_a_number_cannot_be_required_of_the_sources(root):
    numbered(root, "{type: text, required: true}")
    assert "project.number_required" in found(root)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ["project.table_columns"]),
        (b"name,user\na,b\n", ["project.table_columns"]),
        ("legacy_name,user\n张,a\n".encode("gb18030"), ["project.table_unreadable"]),
        ("\ufefflegacy_name,user,why\n张,a,b\n".encode(), []),
    ],
)
def test_tables_that_people_keep_can_be_read(root, content, expected):
    (root / "mappings" / "owners.csv").write_bytes(content)
    assert found(root) == expected


def test_passwords_of_workbooks_stand_in_no_file_and_people_check_what_there_is(root):
    with (root / "rollout.yaml").open("a", encoding="utf-8") as stream:
        stream.write("\nhandouts: {password: in clear}\nverify: {people: {entities: [nobody]}}\n")
    assert found(root) == ["project.secret_in_clear", "project.unknown_entity"]


def test_a_value_map_gives_values_of_the_pick_list(root):
    change(
        root / "mappings" / "account.yaml",
        "fields:\n",
        "fields:\n  - {target: size, source: 规模, transform: {value_map: {file: size.csv}}}\n",
    )
    change(root / "rollout.yaml", "    fields:\n", "    fields:\n      size: {type: picklist, picklist: [大, 小]}\n")
    (root / "size.csv").write_text("raw,value\n巨大,大\n中等,中\n", encoding="utf-8")
    (finding,) = check_project(root / "rollout.yaml", environ=ENVIRON)
    assert (finding.id, finding.message) == (
        "mapping.not_in_picklist",
        "'中' is not in the pick-list of 'size' (size.csv:3)",
    )
    change(root / "size.csv", "中等,中", "中等,小")
    assert found(root) == []
