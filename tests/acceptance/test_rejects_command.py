"""`rollout rejects` and `rollout load --retry` as a CRM administrator uses them."""

from __future__ import annotations

import psycopg
import pytest
from openpyxl import load_workbook

from rollout.project.postgres import with_database

REASON = "her customers go to Li Na"


def dismiss(rollout, login: str) -> None:
    """Let a user of the CRM be out of work, which nobody told the migration team."""
    with psycopg.connect(rollout.database_url) as connection:
        name = f"{connection.info.dbname}_crm"
    with psycopg.connect(with_database(rollout.database_url, name)) as connection:
        connection.execute("UPDATE users SET active = false WHERE login = %s", (login,))


@pytest.mark.attack
def test_what_the_crm_refused_is_repaired_in_excel_and_sent_again(make_rollout, tmp_path):
    rollout = make_rollout()
    rollout.plan()
    dismiss(rollout, "huang.yan")
    refused = rollout.run("load", exit_code=1)
    rejected, waiting = refused["entities"]["account"]["rejected"], refused["entities"]["contact"]["waiting"]
    assert refused["reasons"]["account"] == {"rejected/unknown_owner": rejected}
    assert rejected > 0 < waiting

    listed = rollout.run("rejects", "list", "--limit", "3", exit_code=1)
    assert (listed["rows"], len(listed["listed"])) == (rejected + waiting, 3)
    file = tmp_path / "待处理.xlsx"
    assert rollout.run("rejects", "export", str(file))["rows"] == rejected + waiting
    assert file.stat().st_mode & 0o777 == 0o600

    book = load_workbook(file)
    sheet = book.worksheets[0]
    places = {cell.value: cell.column for cell in sheet[1]}
    for at in range(2, sheet.max_row + 1):
        if sheet.cell(at, places["字段"]).value == "owner":
            sheet.cell(at, places["操作"]).value = "重试"
            sheet.cell(at, places["修正后的值"]).value = "li.na"
    book.save(file)

    bring_back = ("rejects", "import", str(file), "--by", "tester", "--reason", REASON)
    done = rollout.run(*bring_back)
    assert (done["decisions"], done["approved"]) == ({"retry": rejected}, True)
    assert done["entities"]["contact"]["create"] == waiting

    loaded = rollout.run("load", "--retry")
    assert (loaded["kind"], loaded["state"], loaded["approved_by"]) == ("retry", "applied", "tester")
    assert (loaded["accounted"], loaded["closed"]) == (True, True)
    assert loaded["entities"]["account"]["rejected"] == loaded["entities"]["contact"]["waiting"] == 0
    assert rollout.run("verify")["verdict"] == "PASS"
    assert rollout.run("rejects", "list")["rows"] == 0
    [[who]] = rollout.query("SELECT DISTINCT person FROM row_decision")
    assert who == "tester"
