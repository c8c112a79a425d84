"""Any table of text, written as CSV in any encoding we read, comes back cell by cell with the right lines."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.connectors.files import FilesConnector, delimited
from rollout.connectors.files.encoding import NUL_SHARE_OF_BINARY
from rollout.mapping.spec import SourceSpec

TRICKY = [*',\n\r\t ;"=+-@\0\x07\x1f\u3000', "\r\n", '""', "7", "NULL"]


def cells(codec: str) -> st.SearchStrategy[str]:
    if codec == "big5":
        return st.lists(st.sampled_from([*TRICKY, *"客戶編號臺北恆泰有限公司繁體許功蓋"]), max_size=6).map("".join)
    own = st.sampled_from([*TRICKY, "客户", "有限公司", "臺北"])
    return st.lists(own | st.characters(codec=codec), max_size=6).map("".join)


@st.composite
def tables(draw, codec: str):
    width = draw(st.integers(1, 4))
    row = st.lists(cells(codec), min_size=width, max_size=width)
    # Ragged rows are planted among the others: None marks one.
    rows = draw(st.lists(row | st.just(None), max_size=30))
    return width, rows


def written(width: int, rows: list[list[str] | None], *, terminator: str, quoting: int) -> tuple[str, list, list[int]]:
    """The file's text, the rows it should give, and the lines of the ragged ones."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=terminator, quoting=quoting)
    writer.writerow(["编号", *(f"列{number}" for number in range(1, width))])
    expected, ragged = [], []
    line = 2
    for row in rows:
        if row is None:
            writer.writerow(["x"] * (width + 1))
            ragged.append(line)
            line += 1
            continue
        start = out.tell()
        writer.writerow(row)
        if any(row):
            expected.append((line, [cell or None for cell in row]))
        text = out.getvalue()[start:]
        line += text.count("\n") + text.count("\r") - text.count("\r\n")
    return out.getvalue(), expected, ragged


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "gb18030", "big5"])
@pytest.mark.parametrize("declared", ["auto", "as written"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_round_trip(codec: str, declared: str, data: st.DataObject) -> None:
    width, rows = data.draw(tables("utf-8" if codec == "utf-8-sig" else codec))
    # With a lone \n as terminator Python's writer leaves a lone \r unquoted, which ends a line for everybody else.
    terminator, quoting = data.draw(
        st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)])
    )
    text, expected, ragged = written(width, rows, terminator=terminator, quoting=quoting)
    if codec == "big5":
        text = text.replace("编号", "編號").replace("列", "欄")
    key = "編號" if codec == "big5" else "编号"
    content = text.encode(codec)
    if data.draw(st.booleans()):
        content = content.removesuffix(terminator.encode())
    if content.count(b"\0") > len(content) * NUL_SHARE_OF_BINARY:
        return  # taken for a binary file, on purpose
    chunk_rows = data.draw(st.integers(1, 12))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", data.draw(st.sampled_from([2_048, 8 << 20])))
        (Path(folder) / "x.csv").write_bytes(content)
        source = SourceSpec(
            name="s",
            system="legacy",
            row_key=(key,),
            mapping="m",
            path="x.csv",
            encoding="auto" if declared == "auto" else codec.removesuffix("-sig"),
        )
        chunks = list(FilesConnector("legacy", {}, Path(folder)).read(source, chunk_rows=chunk_rows))
    frame = pd.concat([chunk.frame for chunk in chunks], ignore_index=True)
    found = [
        (line, [None if pd.isna(cell) else cell for cell in row])
        for line, row in zip(frame["_line"], frame.drop(columns=["_file", "_sheet", "_line"]).to_numpy(), strict=True)
    ]
    assert found == expected
    lost = [line for chunk in chunks if chunk.unreadable is not None for line in chunk.unreadable["_line"]]
    assert lost == ragged
