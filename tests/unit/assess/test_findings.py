"""Every finding: planted defects are found and counted, clean data gives none."""

from __future__ import annotations

import pytest

POISON = [
    ("assess.invalid_phone", "phone", ["12345", "138000", "021-1234", "1380013800O", "电话"]),
    ("assess.invalid_email", "email", ["a@", "电话找李", "@c.example", "a@b", "a@b..example"]),
    ("assess.invalid_date", "since", ["2015-02-30", "2015-13-01", "上周", "20150230", "2015-03-08 99", "15/3/8"]),
    ("assess.invalid_uscc", "uscc", ["91310000MA1K35RU4J", "91310000MA1K35RU4", "9.131E+17", "91310000MA1K35RUIH"]),
    ("assess.invalid_number", "staff", ["约50人", "1.5", "三", "12-13"]),
    ("assess.invalid_number", "revenue", ["三万", "1.2.3", "12万"]),
    ("assess.invalid_boolean", "active", ["?", "maybe", "2"]),
    ("assess.invalid_picklist", "level", ["C", "a", "A级"]),
    ("assess.too_long", "name", ["一二三四五六七八九十一"]),
    ("assess.required_missing", "name", [None, "", "  ", "\u3000", "-", " 无 "]),
    ("assess.control_characters", "name", ["a\nb", "a\tb", "a\u200bb", "a\x00b", "\ufeffab", "a\ufffdb"]),
    ("assess.full_width", "name", ["Ａ公司", "１号", "ｚ"]),
    ("assess.formula_like", "name", ["=1+1", "@SUM(A)", "+cmd", "-cmd", "=", "+1+cmd"]),
    ("assess.placeholder", "revenue", ["-", "无", " - "]),
    ("assess.reference_unknown", "parent", ["P2", "p1", "P1~2"]),
]


@pytest.mark.parametrize(("id_", "field", "values"), POISON, ids=[f"{id_}-{field}" for id_, field, _ in POISON])
def test_planted_defects_are_found_and_counted(bench, good, id_, field, values):
    rows = [good(place, **{field: value}) for place, value in enumerate(values)] + [good(99), good(100)]
    found = [finding for finding in bench.findings(rows) if finding.id == id_]
    assert [(finding.count, finding.where) for finding in found] == [(len(values), f"s/c {field}")]


def test_clean_rows_give_no_finding(bench, good):
    assert bench.findings([good(1), good(2), good(3)]) == []


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("phone", ["13800138000", "+86 138 0013 8000", "0086-13800138000", "021-52345678", "(021)52345678转801", "400-820-8820",
                   "+1 415 555 2671", "１３８00138000", "0755 82345678", "+86 21 52345678"]),
        ("email", ["a@b.example", "first.last+x@mail.b-c.example", " a@b.cn "]),
        ("since", ["2015-03-08", "2015/3/8", "2015年3月8日", "20150308", "42071", "2016-02-29", "2015-03-08 10:20:30", "2015.3.8"]),
        ("uscc", ["91310000MA1K35RU4P", "91310000ma1k35ru4p"]),
        ("staff", ["0", "-3", "1,200", "12.0", "１２"]),
        ("revenue", ["0.5", "1,200.50", "-3", "¥12", ".5"]),
        ("active", ["是", "否", "Y", "n", "1", "0", "TRUE"]),
        ("name", ["（中国）公司", "A-1", "+86 138", "-3.5", "a=b"]),
    ],
)  # fmt: skip
def test_usual_spellings_are_not_called_invalid(bench, good, field, values):
    rows = [good(place, **{field: value}) for place, value in enumerate(values)]
    wrong = ("assess.invalid", "assess.formula")
    assert [f for f in bench.findings(rows) if f.id.startswith(wrong)] == []


def test_exact_duplicates_repeated_and_blank_keys(bench, good):
    rows = [good(1), good(1), good(1), good(1, name="别的"), good(2), good(3) | {"no": " "}, good(4)]
    rows.append(dict(rows[5]))
    counts = {finding.id: finding.count for finding in bench.findings(rows, repeated_keys=3, blank_keys=2)}
    assert counts == {"assess.duplicate_rows": 3, "assess.key_repeated": 3, "assess.key_blank": 2}


def test_a_column_the_mapping_needs_is_an_error_and_the_rest_is_still_profiled(bench, good):
    rows = [{name: value for name, value in good(place).items() if name != "c phone"} for place in range(3)]
    found = bench.findings(rows)
    assert [(f.id, f.level.value, f.where) for f in found] == [("assess.column_missing", "error", "s/c phone")]


def test_an_unmapped_column_with_values_is_told(bench, good):
    rows = [good(1) | {"传真": "021-1"}, good(2) | {"传真": None}]
    assert [(f.id, f.count, f.where) for f in bench.findings(rows)] == [("assess.column_unmapped", 1, "s/传真")]


def test_empty_and_half_empty_columns(bench, good):
    rows = [good(place, phone=None, since="2015-03-08" if place == 0 else None) for place in range(3)]
    found = {(f.id, f.where): f.count for f in bench.findings(rows)}
    assert found == {("assess.field_empty", "s/c phone"): 3, ("assess.fill_low", "s/c since"): 2}


def test_mixed_formats_count_what_is_not_in_the_commonest(bench, good):
    rows = [good(place, since="2015-03-08") for place in range(8)] + [
        good(9, since="2015/3/8"),
        good(10, since="42071"),
    ]
    found = [f for f in bench.findings(rows) if f.id == "assess.mixed_formats"]
    assert [(f.where, f.count) for f in found] == [("s/c since", 2)]


def test_a_source_without_rows_is_told_once(bench):
    assert [f.id for f in bench.findings([])] == ["assess.source_empty"]
