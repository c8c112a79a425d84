"""The workbook of the queue of rejects, and what people and programs make of it."""

from __future__ import annotations

import zipfile

import pytest
from openpyxl import Workbook, load_workbook

from rollout.errors import ConfigError
from rollout.model.choice import Choice
from rollout.report.rejects_workbook import (
    QueueLine,
    choice_of,
    is_blank_mark,
    read_rejects,
    write_rejects,
)
from rollout.report.workbook_cells import is_error

INFO = {"project": "p", "target": "crm", "wave": "all", "plan": "x"}


def line(number: int, *choices: Choice) -> QueueLine:
    return QueueLine(
        key=f"s:{number}",
        entity="account",
        entity_label="客户",
        title=f"Company {number}",
        state="rejected",
        field="phone",
        label="电话",
        value="=1+1",
        crm_value=None,
        reason_code="too_long",
        message="",
        choices=choices or (Choice.RETRY, Choice.SKIP),
        decided=None,
    )


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "queue.xlsx"
    write_rejects(path, [line(number) for number in range(3)], INFO, "zh")
    return path


def changed(path, change):
    book = load_workbook(path)
    sheet = book.worksheets[0]
    change(sheet, {cell.value: cell.column for cell in sheet[1]})
    book.save(path)
    return path


def test_it_comes_back_as_it_was_written(written):
    info, lines = read_rejects(written)
    assert info == INFO
    assert [(found.line, found.key, found.field) for found in lines] == [
        (2, "s:0", "phone"),
        (3, "s:1", "phone"),
        (4, "s:2", "phone"),
    ]


def test_each_line_has_the_list_of_its_own_choices(tmp_path):
    path = tmp_path / "queue.xlsx"
    other = (Choice.LANDED, Choice.RESEND)
    write_rejects(path, [line(0), line(1), line(2, *other), line(3)], INFO, "en")
    lists = load_workbook(path).worksheets[0].data_validations.dataValidation
    assert {str(found.sqref): found.formula1 for found in lists} == {
        "L2:L3 L5": '"retry,skip"',
        "L4": '"landed,resend"',
    }


def test_a_long_queue_has_a_few_ranges_and_not_a_cell_a_line(tmp_path):
    path = tmp_path / "queue.xlsx"
    write_rejects(path, (line(number) for number in range(3_000)), INFO, "zh")
    [found] = load_workbook(path).worksheets[0].data_validations.dataValidation
    assert str(found.sqref) == "L2:L3001"


def test_a_formula_without_a_result_is_no_empty_cell(written):
    changed(written, lambda sheet, at: setattr(sheet.cell(3, at["操作"]), "value", '=IF(1,"重试","")'))
    with pytest.raises(ConfigError, match="formula without a result") as caught:
        read_rejects(written)
    assert caught.value.where.endswith("!L3")


def test_the_missing_column_is_named(written):
    changed(written, lambda sheet, at: sheet.delete_cols(at["修正后的值"]))
    with pytest.raises(ConfigError, match="are missing: '修正后的值'"):
        read_rejects(written)


def test_a_column_that_was_copied_is_not_read_twice(written):
    changed(written, lambda sheet, at: setattr(sheet.cell(1, 20), "value", "操作"))
    with pytest.raises(ConfigError, match="there twice"):
        read_rejects(written)


def test_a_sheet_that_was_copied_is_not_passed_over(written):
    changed(written, lambda sheet, _: sheet.parent.copy_worksheet(sheet))
    with pytest.raises(ConfigError, match="several sheets"):
        read_rejects(written)


def test_other_sheets_do_not_matter(written):
    changed(written, lambda sheet, _: sheet.parent.create_sheet("mine", 0).append(["hello"]))
    assert len(read_rejects(written)[1]) == 3


def damage(path, part, content):
    """Put something else in the place of a part of the archive."""
    parts = {}
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, content(data) if name == part else data)


def test_a_damaged_sheet_is_an_error_of_the_file(written):
    damage(written, "xl/worksheets/sheet1.xml", lambda data: data[: len(data) // 2])
    with pytest.raises(ConfigError, match="no whole Excel workbook"):
        read_rejects(written)


@pytest.mark.parametrize("name", ["queue.csv", "queue.xls"])
def test_other_kinds_of_files_are_told_apart(written, name):
    with pytest.raises(ConfigError, match=r"no \.xlsx workbook"):
        read_rejects(written.rename(written.with_name(name)))


def test_a_workbook_of_something_else_is_refused(tmp_path):
    book = Workbook()
    book.save(tmp_path / "other.xlsx")
    with pytest.raises(ConfigError, match="no sheet"):
        read_rejects(tmp_path / "other.xlsx")


def test_words_are_known_however_they_are_typed():
    assert choice_of(" 已存在(ID) ") == choice_of("已存在（ID）") == Choice.EXISTS_AS
    assert choice_of("again, please") is None
    assert is_blank_mark("（清空）")
    assert is_blank_mark("(清空)")
    assert not is_blank_mark("清空库存")
    assert is_error("#REF!")
    assert not is_error("#1 Road")
