"""Workbooks that go to people: text stays text, lines are found however the sheet was sorted, a password seals it."""

from __future__ import annotations

import zipfile

import pytest
from openpyxl import load_workbook

from rollout.errors import ConfigError
from rollout.report.people_book import Column, Sheet, read_book, write_book

COLUMNS = (Column("key", label="键"), Column("value", label="值", fill_in=True, choices=("甲", "乙")))
LABELS = {"键": "key", "值": "value"}
ROWS = [
    {"key": "a:1", "value": "=1+1"},
    {"key": "a:2", "value": "0138"},
    {"key": "a:3"},
]
NEEDED = {"lines": ("key", "value")}


def write(path, **more):
    return write_book(
        path,
        [Sheet("lines", COLUMNS, ROWS, title="行")],
        prefix="reject",
        info={"project": "p-1"},
        language="zh",
        **more,
    )


def read(path, **more):
    return read_book(path, NEEDED, prefix="reject", again="export it again", labels=LABELS, **more)


def test_what_goes_out_comes_back(tmp_path):
    digest = write(tmp_path / "a.xlsx")
    book = read(tmp_path / "a.xlsx")
    assert book.info == {"project": "p-1"}
    assert [line.cells for line in book.sheets["lines"]] == [
        {"key": "a:1", "value": "=1+1"},
        {"key": "a:2", "value": "0138"},
        {"key": "a:3", "value": ""},
    ]
    assert len(digest) == 64
    assert (tmp_path / "a.xlsx").stat().st_mode & 0o077 == 0


def test_a_sheet_that_was_sorted_and_filled_in_is_understood(tmp_path):
    write(tmp_path / "a.xlsx")
    book = load_workbook(tmp_path / "a.xlsx")
    sheet = book["行"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    for at, row in enumerate(reversed(rows), start=2):
        for place, value in enumerate(row, start=1):
            cell = sheet.cell(at, place)
            cell.value, cell.data_type = value or "乙", "s"
    book.save(tmp_path / "b.xlsx")
    found = {line.cells["key"]: line.cells["value"] for line in read(tmp_path / "b.xlsx").sheets["lines"]}
    assert found["a:2"] == "0138"


def test_a_password_seals_the_file(tmp_path):
    path = tmp_path / "a.xlsx"
    write(path, password="geheim-7")
    assert not zipfile.is_zipfile(path)
    assert "a:1" not in path.read_bytes().decode("latin-1")
    assert len(read(path, password="geheim-7").sheets["lines"]) == 3
    with pytest.raises(ConfigError, match="encrypted"):
        read(path)
    with pytest.raises(ConfigError, match="password"):
        read(path, password="other")


def test_what_is_no_such_workbook_is_told(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "none.xlsx")
    (tmp_path / "text.xlsx").write_text("no workbook", encoding="utf-8")
    with pytest.raises(ConfigError):
        read(tmp_path / "text.xlsx")
    write_book(
        tmp_path / "c.xlsx", [Sheet("lines", COLUMNS[:1], [], title="行")], prefix="reject", info={}, language="zh"
    )
    with pytest.raises(ConfigError, match="missing: 'value'"):
        read(tmp_path / "c.xlsx")


def test_a_folder_that_is_missing_is_made_and_one_that_cannot_be_is_told(tmp_path):
    write(tmp_path / "out" / "deep" / "a.xlsx")
    assert read(tmp_path / "out" / "deep" / "a.xlsx").info == {"project": "p-1"}
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "file" / "a.xlsx")
