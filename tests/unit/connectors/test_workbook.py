"""XLSX and XLS as people send them."""

from __future__ import annotations

import datetime as dt
import re
import zipfile

import openpyxl
import pytest
import xlwt

from rollout.connectors.files import guard
from rollout.connectors.files.cells import cell_text
from rollout.errors import ConfigError


@pytest.fixture
def book():
    book = openpyxl.Workbook()
    book.active.title = "名单"
    return book


def fill(sheet, rows, *, top=1, left=1) -> None:
    for number, row in enumerate(rows, start=top):
        for column, value in enumerate(row, start=left):
            if value is not None:
                sheet.cell(number, column, value)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("", None),
        ("007", "007"),
        (" x\n", " x\n"),
        (13812345678.0, "13812345678"),
        (-3.0, "-3"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1234.50, "1234.5"),
        (9.13100001234568e17, "913100001234568000"),
        (1e300, "1" + "0" * 300),
        (True, "true"),
        (False, "false"),
        (0.0, "0"),
        (dt.date(2015, 3, 8), "2015-03-08"),
        (dt.datetime(2015, 3, 8), "2015-03-08"),  # noqa: DTZ001 - as it arrives
        (dt.datetime(2015, 3, 8, 12, 30), "2015-03-08T12:30:00"),  # noqa: DTZ001 - as it arrives
        (dt.time(8, 5), "08:05:00"),
        (dt.timedelta(hours=30, minutes=1), "30:01:00"),
    ],
)
def test_cells_become_text_that_loses_and_gains_nothing(cell, text) -> None:
    assert cell_text(cell) == text


def test_a_sheet_as_people_send_it(tmp_path, read, book) -> None:
    sheet = book.active
    fill(sheet, [
        ["联系人台账"],
        ["编号", "客户", "联系方式", None, "生日"],
        [None, None, "手机", "邮箱", None],
        ["1", "甲公司", 13812345678, "a@b.example", dt.date(1980, 1, 2)],
        ["2", None, "0086-139", None, 29222],
        ["3", None, None, "c@d.example", "1980年1月2日"],
        ["4", "乙公司", 0.5, None, None],
    ])  # fmt: skip
    for area in ("A1:E1", "A2:A3", "B2:B3", "C2:D2", "E2:E3", "B4:B6"):
        sheet.merge_cells(area)
    book.save(tmp_path / "x.xlsx")
    for chunk_rows in (1, 3, 1_000):
        found = read("x.xlsx", skip_rows=1, header_rows=2, row_key=("编号",), chunk_rows=chunk_rows)
        assert list(found.frame.columns[:5]) == ["编号", "客户", "联系方式/手机", "联系方式/邮箱", "生日"]
        assert found.column("客户") == ["甲公司", "甲公司", "甲公司", "乙公司"]
        assert found.column("联系方式/手机") == ["13812345678", "0086-139", None, "0.5"]
        assert found.column("生日") == ["1980-01-02", "29222", "1980年1月2日", None]
        assert found.lines == [4, 5, 6, 7]
        assert set(found.column("_sheet")) == {"名单"}
        assert all(len(chunk.frame) <= chunk_rows for chunk in found.chunks)


def test_data_merged_over_columns_is_one_value_and_empty_rows_are_none(tmp_path, read, book) -> None:
    fill(book.active, [["a", "b", "c"], ["1", "x", None], [], ["2", "y", "z"], [None, None, None], ["3"]])
    book.active.merge_cells("B2:C2")
    book.active.merge_cells("B4:B5")
    book.active.row_dimensions[60].height = 3
    book.save(tmp_path / "x.xlsx")
    found = read("x.xlsx")
    assert found.column("b") == ["x", "y", None]
    assert found.column("c") == [None, "z", None]
    assert found.lines == [2, 4, 6]
    assert found.finding("source.blank_rows").count == 2


def test_a_table_in_the_middle_of_a_sheet_keeps_its_row_numbers(tmp_path, read, book) -> None:
    fill(book.active, [["a", "b"], ["1", "#N/A"], ["2", None]], top=4, left=3)
    book.active["D5"].data_type = "e"
    book.active.merge_cells("C6:D6")
    book.save(tmp_path / "x.xlsx")
    found = read("x.xlsx", skip_rows=3)
    assert found.lines == [5, 6]
    assert found.column("b") == ["#N/A", None]


def test_error_cells_arrive_as_text(tmp_path, read, book) -> None:
    fill(book.active, [["a", "b"], ["1", "#N/A"], ["2", "#REF!"], ["3", "ok"]])
    for address in ("B2", "B3"):
        book.active[address].data_type = "e"
    book.save(tmp_path / "x.xlsx")
    assert read("x.xlsx").column("b") == ["#N/A", "#REF!", "ok"]


def test_sheets_by_name_by_glob_or_those_that_fit(tmp_path, read, book) -> None:
    fill(book.active, [["a", "b"], ["1", "x"]])
    fill(book.create_sheet("名单2"), [["a", "c"], ["2", "y"]])
    fill(book.create_sheet("说明"), [["这是说明"]])
    book.create_sheet("空")
    book.save(tmp_path / "x.xlsx")
    assert read("x.xlsx", sheet="名单2").column("a") == ["2"]
    both = read("x.xlsx", sheet="名单*")
    assert both.column("a") == ["1", "2"]
    assert both.column("_sheet") == ["名单", "名单2"]
    fitting = read("x.xlsx")
    assert fitting.column("a") == ["1", "2"]
    assert [f.where for f in fitting.findings if f.id == "source.sheet_skipped"] == ["x.xlsx[说明]:1", "x.xlsx[空]:0"]
    with pytest.raises(ConfigError, match="no sheet is called '2024'; there are: 名单, 名单2, 说明, 空"):
        read("x.xlsx", sheet="2024")
    with pytest.raises(ConfigError, match="row_key needs the column a; the file has: 这是说明"):
        read("x.xlsx", sheet="说明")


def test_xls_is_read_alike(tmp_path, read) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("名单")
    sheet.write_merge(0, 0, 0, 3, "标题")
    for column, name in enumerate(["a", "客户", "手机", "日期"]):
        sheet.write(1, column, name)
    sheet.write_merge(2, 3, 1, 1, "甲公司")
    for row in (2, 3):
        sheet.write(row, 0, str(row))
        sheet.write(row, 2, 13812345678)
        sheet.write(row, 3, dt.date(2015, 3, 8), xlwt.easyxf(num_format_str="yyyy-mm-dd"))
    book.save(str(tmp_path / "x.xls"))
    found = read("x.xls", skip_rows=1)
    assert found.column("客户") == ["甲公司", "甲公司"]
    assert found.column("手机") == ["13812345678"] * 2
    assert found.column("日期") == ["2015-03-08"] * 2
    assert found.lines == [3, 4]


def test_what_a_file_is_decides_not_its_name(tmp_path, read, book) -> None:
    fill(book.active, [["a"], ["1"]])
    book.save(tmp_path / "x.csv.xlsx")
    (tmp_path / "x.csv.xlsx").rename(tmp_path / "x.csv")
    assert read("x.csv").column("a") == ["1"]


def test_duplicate_headings_are_refused_unless_joined(tmp_path, read, book) -> None:
    fill(book.active, [["a", "手机", "手机"], ["1", "2", "3"]])
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(ConfigError, match=re.escape("names a column twice: '手机' (2 times)")) as caught:
        read("x.xlsx")
    assert caught.value.where == "x.xlsx[名单]:1"
    assert "header_rows: 2" in caught.value.hint


def saved(book, path) -> bytes:
    fill(book.active, [["a", "b"], *([str(n), "x"] for n in range(500))])
    book.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_workbook_is_refused(tmp_path, read, book, share) -> None:
    whole = saved(book, tmp_path / "x.xlsx")
    (tmp_path / "x.xlsx").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ConfigError, match="incomplete or damaged") as caught:
        read("x.xlsx")
    assert caught.value.where == "x.xlsx"
    assert "export the file again" in caught.value.hint


def test_a_workbook_with_a_damaged_sheet_is_refused(tmp_path, read, book) -> None:
    saved(book, tmp_path / "whole.xlsx")
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as source, zipfile.ZipFile(tmp_path / "x.xlsx", "w") as target:
        for part in source.infolist():
            content = source.read(part)
            target.writestr(part, content[:200] + b"<" if "sheet1" in part.filename else content)
    with pytest.raises(ConfigError, match="incomplete or damaged"):
        read("x.xlsx")


def test_a_zip_bomb_is_refused_before_a_parser_opens_it(tmp_path, read, book, monkeypatch) -> None:
    saved(book, tmp_path / "x.xlsx")
    with zipfile.ZipFile(tmp_path / "x.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet2.xml", b" " * (20 << 20))
    with pytest.raises(ConfigError, match="looks like a zip bomb") as caught:
        read("x.xlsx")
    assert caught.value.where == "x.xlsx"
    assert "make sure where the file comes from" in caught.value.hint
    monkeypatch.setattr(guard, "MAX_PART_RATIO", 10_000)
    monkeypatch.setattr(guard, "MAX_UNPACKED_BYTES", 10 << 20)
    with pytest.raises(ConfigError, match="unpacks to 20 MB"):
        read("x.xlsx")


def test_a_sheet_beyond_the_limits_is_refused(tmp_path, read, book, monkeypatch) -> None:
    saved(book, tmp_path / "x.xlsx")
    monkeypatch.setattr(guard, "MAX_CELLS", 1_000)
    with pytest.raises(ConfigError, match="501 rows and 2 columns; at most"):
        read("x.xlsx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"<html><table></table></html>", "a web page"),
        (b"a,b\n1,2\n", "not an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "incomplete or damaged"),
    ],
)
def test_what_is_no_workbook_is_called_what_it_is(tmp_path, read, content, message) -> None:
    (tmp_path / "x.xls").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read("x.xls")
    assert caught.value.where == "x.xls"
    assert caught.value.hint


def test_a_zip_that_is_no_workbook_is_refused(tmp_path, read) -> None:
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
    with pytest.raises(ConfigError, match="ZIP archive is not an Excel workbook"):
        read("x.xlsx")
