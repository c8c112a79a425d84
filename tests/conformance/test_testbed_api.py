"""The CRM itself: tokens, users' own changes, history, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine

from rollout.errors import Fatal
from rollout.testbed.entities import ACCOUNT, USERS
from rollout.testbed.messages import Operation, Status
from rollout.testbed.server import Testbed, running
from rollout.testbed.sessions import Sessions
from rollout.testbed.tables import connect, create_all
from rollout.testbed.validation import Reason
from rollout.testbed.writing import Row, write_rows

FIELDS = {"name": "虚构客户", "region": "华东", "legacy_no": "1"}


@pytest.fixture
def person(testbed: Testbed) -> Iterator[httpx.Client]:
    with testbed.client("li.na") as client:
        yield client


@pytest.fixture
def engine(empty_pg_url: str) -> Iterator[Engine]:
    engine = connect(empty_pg_url)
    create_all(engine, "made-up password")
    yield engine
    engine.dispose()


def batch(client: httpx.Client, *rows: dict[str, object], entity: str = "account") -> list[dict[str, object]]:
    answer = client.post(f"/api/{entity}/batch", json={"rows": list(rows)}).raise_for_status()
    return list(answer.json()["outcomes"])


def new(**changes: object) -> dict[str, object]:
    return {"migration_key": f"api-{uuid.uuid4()}", "op": "create", "fields": {**FIELDS, **changes}}


# --- who may call ---


def test_every_call_but_health_and_login_needs_a_token(testbed: Testbed) -> None:
    with httpx.Client(base_url=testbed.base_url, trust_env=False) as stranger:
        paths = stranger.get("/openapi.json").json()["paths"]
        open_paths = set()
        for path, methods in paths.items():
            for method in methods:
                filled = path.replace("{entity}", "account").replace("{record_id}", "A-1")
                response = stranger.request(method, filled, json={})
                if response.status_code != 401:
                    open_paths.add((method, path))
        assert open_paths == {("get", "/api/health"), ("post", "/api/token")}
        assert len(paths) > 10
        for header in ("Bearer nonsense", "Bearer", "Basic eDp5"):
            assert stranger.get("/api/describe", headers={"Authorization": header}).status_code == 401


def test_a_wrong_password_or_login_gets_no_token(testbed: Testbed) -> None:
    for username, password in (("li.na", "wrong"), ("nobody", testbed.password), ("li.na", "")):
        credentials = {"username": username, "password": password}
        response = httpx.post(f"{testbed.base_url}/api/token", json=credentials, trust_env=False)
        assert response.status_code == 401
        assert "access_token" not in response.text


def test_a_token_holds_until_its_time_is_over(engine: Engine) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    times = [now]
    sessions = Sessions(engine, lifetime_s=60, clock=lambda: times[-1])
    grant = sessions.log_in("li.na", "made-up password")
    assert grant is not None
    times.append(now + timedelta(seconds=59))
    assert sessions.user_of(grant.token) == "li.na"
    times.append(now + timedelta(seconds=60))
    assert sessions.user_of(grant.token) is None


def test_a_user_put_out_of_work_is_out_at_once(engine: Engine) -> None:
    sessions = Sessions(engine, lifetime_s=60, clock=lambda: datetime.now(UTC))
    grant = sessions.log_in("li.na", "made-up password")
    assert grant is not None
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET active = false WHERE login = 'li.na'"))
    assert sessions.user_of(grant.token) is None
    assert sessions.log_in("li.na", "made-up password") is None


def test_neither_passwords_nor_tokens_are_stored(testbed: Testbed, testbed_url: str, person: httpx.Client) -> None:
    token = person.headers["Authorization"].removeprefix("Bearer ")
    with psycopg.connect(testbed_url) as database:
        stored = str(
            database.execute("SELECT * FROM users").fetchall() + database.execute("SELECT * FROM tokens").fetchall()
        )
    assert token not in stored
    assert testbed.password not in stored


def test_the_made_up_users_are_there(person: httpx.Client) -> None:
    assert {user["login"] for user in person.get("/api/users").json()["users"]} == set(USERS)


# --- what people do ---


def test_people_create_change_and_delete_and_the_history_tells(person: httpx.Client, testbed: Testbed) -> None:
    record = person.post("/api/account", json={"fields": FIELDS}).raise_for_status().json()
    assert (record["migration_key"], record["version"], record["modified_by"]) == (None, 1, "li.na")
    path = f"/api/account/{record['id']}"
    with testbed.client("wu.gang") as other:
        changed = other.patch(path, json={"fields": {"level": "B", "name": "虚构客户"}}).json()
    assert (changed["version"], changed["modified_by"], changed["fields"]["level"]) == (2, "wu.gang", "B")
    stale = person.patch(path, json={"fields": {"level": "C"}, "expected_version": 1})
    assert (stale.status_code, stale.json()["detail"]["reason"]) == (409, "version_changed")
    assert person.delete(path).status_code == 204
    assert person.get(path).status_code == 404
    assert person.delete(path).status_code == 404
    entries = person.get(f"{path}/history").json()["entries"]
    told = [(entry["by"], entry["action"], entry["field"], entry["old"], entry["new"]) for entry in entries]
    assert ("wu.gang", "update", "level", None, "B") in told
    assert ("li.na", "create", "name", None, "虚构客户") in told
    assert ("li.na", "delete", "level", "B", None) in told
    assert not [entry for entry in told if entry[1] == "update" and entry[2] == "name"]


def test_a_record_that_others_refer_to_is_not_deleted(person: httpx.Client) -> None:
    parent = person.post("/api/account", json={"fields": FIELDS}).json()["id"]
    contact = {"name": "虚构联系人", "account": parent, "legacy_no": "1"}
    person.post("/api/contact", json={"fields": contact}).raise_for_status()
    refused = person.delete(f"/api/account/{parent}")
    assert (refused.status_code, refused.json()["detail"]["reason"]) == (409, "referenced")
    assert person.get(f"/api/account/{parent}").status_code == 200


# --- what is refused ---


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "  "}, "required_missing"),
        ({"name": 5}, "wrong_type"),
        ({"name": "a\x00b"}, "wrong_type"),
        ({"name": "长" * 201}, "too_long"),
        ({"region": "华东 2"}, "not_in_picklist"),
        ({"owner": "nobody"}, "unknown_owner"),
        ({"employees": True}, "wrong_type"),
        ({"employees": "12"}, "wrong_type"),
        ({"employees": 2**31}, "too_long"),
        ({"annual_revenue": "1.0000001"}, "too_long"),
        ({"annual_revenue": "1e20"}, "too_long"),
        ({"annual_revenue": "NaN"}, "wrong_type"),
        ({"established_on": "2001-2-3"}, "wrong_type"),
        ({"established_on": "2001-02-30"}, "wrong_type"),
        ({"version": 3}, "read_only_field"),
        ({"colour": "red"}, "unknown_field"),
    ],
)
def test_a_wrong_value_is_rejected_with_its_reason(
    fields: dict[str, object], reason: str, person: httpx.Client
) -> None:
    [outcome] = batch(person, new(**fields))
    assert (outcome["status"], outcome["reason"]) == ("rejected", reason)
    assert outcome["message"]


def test_half_a_surrogate_pair_is_rejected(person: httpx.Client) -> None:
    body = '{"rows":[{"migration_key":"s","op":"create","fields":{"name":"\\ud800","region":"华东","legacy_no":"1"}}]}'
    response = person.post("/api/account/batch", content=body.encode(), headers={"Content-Type": "application/json"})
    refused = response.status_code == 422 or response.json()["outcomes"][0]["reason"] == "wrong_type"
    assert refused


@pytest.mark.parametrize("parent", ["A-999999999", "C-1001", "1001", "A-", "A-１", "A-99999999999999999999", None])
def test_a_contact_needs_an_account_that_exists(parent: str | None, person: httpx.Client) -> None:
    row = {
        "migration_key": f"api-{uuid.uuid4()}",
        "op": "create",
        "fields": {"name": "虚构", "account": parent, "legacy_no": "1"},
    }
    [outcome] = batch(person, row, entity="contact")
    expected = "required_missing" if parent is None else "reference_missing"
    assert (outcome["status"], outcome["reason"]) == ("rejected", expected)


def test_a_malformed_batch_is_refused_whole(person: httpx.Client) -> None:
    row = new()
    bad = [
        {"rows": []},
        {"rows": [new() for _ in range(201)]},
        {"rows": [row, row]},
        {"rows": [row | {"colour": "red"}]},
        {"rows": [row | {"op": "upsert"}]},
        {"rows": [row | {"migration_key": " padded "}]},
        {"rows": [row | {"fields": {"name": {"first": "x"}}}]},
    ]
    assert [person.post("/api/account/batch", json=body).status_code for body in bad] == [422] * len(bad)
    assert person.post("/api/account/lookup", json={"migration_keys": [row["migration_key"]]}).json() == {"records": []}


def test_text_is_trimmed_and_empty_text_is_no_value(person: httpx.Client) -> None:
    row = new(name="  虚构  ", remark=" ")
    [outcome] = batch(person, row)
    fields = person.get(f"/api/account/{outcome['id']}").json()["fields"]
    assert (fields["name"], fields["remark"]) == ("虚构", None)


def test_an_update_needs_no_id_but_a_key_that_is_held(person: httpx.Client) -> None:
    row = new()
    batch(person, row)
    change = {"migration_key": row["migration_key"], "op": "update", "fields": {"level": "A"}}
    assert [outcome["status"] for outcome in batch(person, change)] == ["updated"]
    assert [outcome["status"] for outcome in batch(person, change)] == ["unchanged"]
    [outcome] = batch(person, change | {"migration_key": "nobody's"})
    assert (outcome["status"], outcome["reason"]) == ("rejected", "not_found")


def test_a_key_that_is_taken_is_not_adopted(person: httpx.Client) -> None:
    row = new()
    batch(person, row)
    own = person.post("/api/account", json={"fields": FIELDS}).json()["id"]
    [outcome] = batch(person, {"migration_key": row["migration_key"], "op": "update", "id": own, "fields": {}})
    assert (outcome["status"], outcome["reason"]) == ("conflict", "key_exists")


def test_what_the_database_alone_refuses_costs_its_own_row_only(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE account ADD CHECK (name <> '禁')"))
    rows = [Row(str(n), Operation.CREATE, {**FIELDS, "name": "禁" if n == 2 else "虚构"}) for n in range(5)]
    outcomes = write_rows(engine, ACCOUNT, rows, "migration")
    assert [outcome.status for outcome in outcomes] == [
        Status.CREATED, Status.CREATED, Status.REJECTED, Status.CREATED, Status.CREATED
    ]  # fmt: skip
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM account")) == 4
        assert connection.scalar(text("SELECT count(*) FROM history")) == 4


def test_two_rows_that_change_one_record_see_each_other(engine: Engine) -> None:
    [first] = write_rows(engine, ACCOUNT, [Row("k", Operation.CREATE, FIELDS)], "migration")
    rows = [
        Row("k", Operation.UPDATE, {"level": "A"}, first.id, 1),
        Row("other", Operation.UPDATE, {"level": "B"}, first.id, 1),
        Row(None, Operation.UPDATE, {"level": "C"}, first.id, 1),
    ]
    outcomes = write_rows(engine, ACCOUNT, rows, "migration")
    assert [outcome.status for outcome in outcomes] == [Status.UPDATED, Status.CONFLICT, Status.CONFLICT]
    assert outcomes[2].problem is not None
    assert outcomes[2].problem.reason is Reason.VERSION_CHANGED


# --- the process ---


def test_faults_need_the_start_flag_and_sigterm_is_a_clean_end(empty_pg_url: str) -> None:
    with running(empty_pg_url) as crm:
        with crm.client() as client:
            planned = {"endpoint": "account/batch", "fault": "unavailable"}
            assert client.post("/api/admin/faults", json=planned).status_code in (404, 405, 422)
        assert 20_000 <= httpx.URL(crm.base_url).port < 32_000
        taken = httpx.URL(crm.base_url).port
        with pytest.raises(Fatal, match="cannot listen"), running(empty_pg_url, taken):
            pass
    assert crm.process.returncode == 0


def test_it_ends_when_its_parent_does(empty_pg_url: str) -> None:
    environment = {"ROLLOUT_TESTBED_DATABASE_URL": empty_pg_url, "ROLLOUT_TESTBED_PASSWORD": "made-up"}
    command = [sys.executable, "-m", "rollout.testbed", "--until-eof"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_missing_database_is_said_at_the_start() -> None:
    with pytest.raises(Fatal, match="did not start"), running("postgresql://nobody@127.0.0.1:1/none"):
        pass
