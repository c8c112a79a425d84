"""Encodings are decided on all bytes; what stays open is said."""

from __future__ import annotations

import pytest

from rollout.connectors.files import encoding
from rollout.connectors.files.encoding import inspect
from rollout.errors import ConfigError

SIMPLIFIED = (
    "客户编号,客户名称,地址\n1,上海恒泰精密机械有限公司,上海市人民路1号\n2,苏州鑫源电子科技有限公司,江苏省苏州市\n"
)
TRADITIONAL = "客戶編號,客戶名稱,地址\n1,臺北恆泰精密機械有限公司,臺北市中山路1號\n2,高雄鑫源電子科技有限公司,高雄市\n"


@pytest.mark.parametrize(
    ("text", "codec", "expected"),
    [
        (SIMPLIFIED, "utf-8", "utf-8"),
        (SIMPLIFIED, "utf-8-sig", "utf-8-sig"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (TRADITIONAL, "utf-8", "utf-8"),
        ("a,b\n1,2\n", "ascii", "utf-8"),
        ("张伟", "gb18030", "gb18030"),
        ("王小明", "big5", "big5"),
        ("公司", "gb18030", "gb18030"),
        ("公司", "big5", "big5"),
        ("姓名,备注\n𠮷野,€100\n", "gb18030", "gb18030"),
    ],
)
@pytest.mark.parametrize("times", [1, 3_000])
def test_detected_in_short_and_long_files(tmp_path, text, codec, expected, times) -> None:
    (tmp_path / "x").write_bytes((text * times).encode(codec))
    found = inspect(tmp_path / "x", "x")
    assert (found.encoding, found.certain) == (expected, True)


def test_chinese_that_starts_late_is_found(tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"a,b\n" + b"1,2\n" * 500_000 + TRADITIONAL.encode("big5"))
    assert inspect(tmp_path / "x", "x").encoding == "big5"


def test_what_the_bytes_leave_open_is_uncertain_unless_the_header_settles_it(tmp_path) -> None:
    (tmp_path / "x").write_bytes("名称".encode("gb18030"))
    assert not inspect(tmp_path / "x", "x").certain
    (tmp_path / "x").write_bytes("中文".encode("big5"))
    assert inspect(tmp_path / "x", "x").encoding == "gb18030"  # a wrong guess, and said to be one
    assert not inspect(tmp_path / "x", "x").certain
    settled = inspect(tmp_path / "x", "x", header_names=["中文"])
    assert (settled.encoding, settled.certain) == ("big5", True)


def test_traditional_writing_in_gb18030_is_settled_by_the_header(tmp_path) -> None:
    (tmp_path / "x").write_bytes(TRADITIONAL.encode("gb18030"))
    assert inspect(tmp_path / "x", "x", header_names=["客戶編號"]).encoding == "gb18030"


@pytest.mark.parametrize("block", [1, 2, 3, 5, 1 << 20])
def test_offences_are_placed_to_the_byte_wherever_blocks_end(tmp_path, monkeypatch, block) -> None:
    monkeypatch.setattr(encoding, "BLOCK_BYTES", block)
    content = "编号\n张三\n".encode() + b"\xb5\xff\n"
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        inspect(tmp_path / "x", "客户.csv", declared="utf-8")
    assert caught.value.where == "客户.csv:3"
    assert "byte 14 (0xB5) in line 3" in caught.value.message


def test_a_file_cut_in_the_middle_of_a_character_is_refused(tmp_path) -> None:
    (tmp_path / "x").write_bytes("a\n客户".encode()[:-1])
    with pytest.raises(ConfigError, match="byte 5"):
        inspect(tmp_path / "x", "x", declared="utf-8")


def test_a_wrong_declaration_names_the_encoding_that_fits(tmp_path) -> None:
    (tmp_path / "x").write_bytes(SIMPLIFIED.encode("gb18030"))
    with pytest.raises(ConfigError) as caught:
        inspect(tmp_path / "x", "x.csv", declared="utf-8")
    assert caught.value.where == "x.csv:1"
    assert "set encoding: gb18030" in caught.value.hint
    with pytest.raises(ConfigError, match="there is no encoding 'utf-9'"):
        inspect(tmp_path / "x", "x.csv", declared="utf-9")


def test_what_was_decided_is_stated_in_a_finding(tmp_path, read) -> None:
    (tmp_path / "x.csv").write_bytes(SIMPLIFIED.encode("gb18030"))
    found = read("x.csv", row_key=("客户编号",))
    assert found.finding("source.encoding").detail["encoding"] == "gb18030"
    assert found.column("客户名称")[0] == "上海恒泰精密机械有限公司"
    declared = read("x.csv", row_key=("客户编号",), encoding="gbk")
    assert "declared: gbk" in declared.finding("source.encoding").message
    (tmp_path / "x.csv").write_bytes("a,名称\n1,2\n".encode("gb18030"))
    assert read("x.csv").finding("source.encoding_uncertain").level == "warning"


@pytest.mark.parametrize("declared", ["base64", "rot13", "utf-16", "utf-16-le", "cp037", "no-such"])
def test_what_is_no_encoding_of_csv_files_is_refused(tmp_path, declared):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="use utf-8, gb18030, big5 or auto"):
        inspect(path, "a.csv", declared=declared)


def test_western_text_is_not_taken_for_chinese(tmp_path) -> None:
    """Every one of these bytes is half of a character that GB18030 knows: Müller would become M黮ler."""
    path = tmp_path / "x.csv"
    path.write_bytes("name,town\nMüller,Köln\nBjörn,Hull\nSeán,Bath\n".encode("cp1252"))
    with pytest.raises(ConfigError, match="neither UTF-8 nor plausible Chinese") as caught:
        inspect(path, "x.csv")
    assert "such as cp1252" in caught.value.hint
    assert inspect(path, "x.csv", declared="cp1252").encoding == "cp1252"
