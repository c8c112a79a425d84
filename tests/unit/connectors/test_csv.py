"""CSV: every row with its line, nothing lost, and errors that say where and what to do."""

from __future__ import annotations

import re

import pytest

from rollout.connectors.files import delimited
from rollout.errors import ConfigError


def test_lines_are_physical_lines_whatever_lies_between(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_bytes(b'a,b\n1,2\n\n3\n4,5,6\n"x\ny",7\n"p\nq"\n8,9\n"r\r\ns",1\n5\n,\n"t\ru",0')
    for chunk_rows in (1, 2, 1_000):
        found = read("x.csv", chunk_rows=chunk_rows)
        assert dict(zip(found.lines, found.column("a"), strict=True)) == {
            2: "1",
            6: "x\ny",
            10: "8",
            11: "r\r\ns",
            15: "t\ru",
        }
        assert found.unreadable["_line"].tolist() == [4, 5, 8, 13]
        assert found.unreadable["raw"].tolist() == ["3", "4,5,6", '"p\nq"', "5"]
        assert found.unreadable["reason"][1] == "2 cells expected, 3 found"
        assert found.finding("source.ragged_rows").count == 4
        assert found.finding("source.blank_rows").count == 2
        assert found.finding("source.line_breaks").count == 3
        assert all(len(chunk.frame) <= chunk_rows for chunk in found.chunks)


def test_lines_stay_right_over_the_blocks_that_arrow_parses(tmp_path, read, monkeypatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 64)
    rows, expected, ragged, line = [], [], [], 2
    for number in range(500):
        if number % 7 == 3:
            rows.append(f"{number}\n")
            ragged.append(line)
            line += 1
        elif number % 5 == 0:
            rows.append(f'{number},"x\n\ny"\n')
            expected.append(line)
            line += 3
        else:
            rows.append(f"{number},y\n")
            expected.append(line)
            line += 1
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(rows), encoding="utf-8", newline="")
    found = read("x.csv", chunk_rows=37)
    assert found.lines == expected
    assert found.unreadable["_line"].tolist() == ragged


def test_a_whole_block_of_ragged_rows_is_filed_at_its_lines(tmp_path, read, monkeypatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 32)
    (tmp_path / "x.csv").write_text("a,b\n" + "1\n" * 60 + "2,3\n" + "4,5,6\n" * 20, encoding="utf-8")
    found = read("x.csv")
    assert found.lines == [62]
    assert found.unreadable["_line"].tolist() == [*range(2, 62), *range(63, 83)]


def test_nothing_is_interpreted(tmp_path, read) -> None:
    cells = ["007", " x ", "NULL", "1.38E+10", "=1+1", "a\x00b", "\x07", "\u3000", "\ufeff1"]
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{cell},1\n" for cell in cells), encoding="utf-8")
    found = read("x.csv")
    assert found.column("a") == cells
    assert found.finding("source.nul_bytes").count == 1


def test_an_empty_cell_is_missing_quoted_or_not(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_text('a,b\n,1\n"",2\n', encoding="utf-8")
    assert read("x.csv").column("a") == [None, None]


def test_titles_and_several_header_lines_are_joined(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_text("标题,,\n编号,联系方式,,生日\n,手机,邮箱,\n1,2,3,4\n", encoding="utf-8")
    found = read("x.csv", skip_rows=1, header_rows=2, row_key=("编号",))
    assert list(found.frame.columns[:4]) == ["编号", "联系方式/手机", "联系方式/邮箱", "生日"]
    assert found.lines == [4]


def test_a_header_cell_may_span_lines(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_text('a,"two\nlines"\n1,2\n', encoding="utf-8")
    found = read("x.csv")
    assert found.column("two lines") == ["2"]
    assert found.lines == [3]


def test_columns_without_a_name_keep_their_values(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_text("a,,b,\n1,2,3,4\n", encoding="utf-8")
    found = read("x.csv")
    assert found.column("unnamed_2") == ["2"]
    assert found.column("unnamed_4") == ["4"]
    assert found.finding("source.unnamed_columns").count == 2


def test_a_header_alone_is_no_rows_and_says_so(tmp_path, read) -> None:
    for text in ("a,b", "a,b\n", "a,b\n\n\n"):
        (tmp_path / "x.csv").write_text(text, encoding="utf-8")
        found = read("x.csv")
        assert len(found.frame) == 0
        assert list(found.frame.columns) == ["a", "b", "_file", "_sheet", "_line"]
        assert found.finding("source.no_rows")


@pytest.mark.parametrize(
    ("content", "where", "message", "hint"),
    [
        (b"", "x.csv:1", "the file is empty", "export it again"),
        (b"\xef\xbb\xbf \n\n", "x.csv:1", "the file is empty", "export it again"),
        (b"a,b,a\n1,2,3\n", "x.csv:1", "names a column twice: 'a' (2 times)", "header_rows"),
        (b",,\n1,2,3\n", "x.csv:1", "the header line is empty", "skip_rows"),
        (b"x,y\n1,2\n", "x.csv:1", "row_key needs the column a; the file has: x, y", "row_key"),
        (b"a;b\n1;2\n", "x.csv:1", "row_key needs the column a; the file has: a;b", "delimiter"),
        (b"a,_line\n1,2\n", "x.csv:1", "column names are reserved: _line", "rename"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "x.csv:3", "never closed", "close it"),
        (b'a,b\n1,2\n"3,4\n5,6\n7,8', "x.csv:3", "never closed", "close it"),
        (b'a,b\n1,2\n3,"4', "x.csv:3", "never closed", "close it"),
        (b"PK\x03\x04zip", "x.csv", "a workbook or ZIP archive, not a CSV file", "save it as CSV UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "x.csv", "UTF-16", "save it as CSV UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "x.csv:1", "not a text file", "save it as CSV UTF-8"),
        (b"a,b\n1,2\n\xff\xff,3\n", "x.csv:3", "byte 8 (0xFF) in line 3 cannot be read", "repair that place"),
    ],
)
def test_unusable_files_are_refused_with_place_and_next_step(tmp_path, read, content, where, message, hint) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read("x.csv", format="csv")
    assert caught.value.where == where
    assert hint in caught.value.hint


def test_a_header_that_is_cut_off_is_refused(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_text("title\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="ends before its header"):
        read("x.csv", skip_rows=1)


def test_a_quotation_mark_that_swallows_more_than_a_block_is_found(tmp_path, read, monkeypatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1_024)
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 600 + '"3,4\n' + "5,6\n" * 2_000, encoding="utf-8")
    with pytest.raises(ConfigError, match="longer than") as caught:
        read("x.csv")
    assert "never closed" in caught.value.hint
    assert 2 <= int(caught.value.where.split(":")[1]) <= 602


def test_a_file_that_is_written_to_meanwhile_is_refused(tmp_path) -> None:
    from rollout.connectors.files import FilesConnector
    from rollout.mapping.spec import SourceSpec

    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "1,2\n" * 10, encoding="utf-8")
    spec = SourceSpec(name="s", system="legacy", row_key=("a",), mapping="m", path="x.csv")
    chunks = FilesConnector("legacy", {}, tmp_path).read(spec, chunk_rows=3)
    next(chunks)
    with path.open("a", encoding="utf-8") as file:
        file.write("3,4\n")
    with pytest.raises(ConfigError, match="changed while it was being read"):
        list(chunks)
