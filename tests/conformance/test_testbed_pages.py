"""The CRM's pages for people."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx
import pytest

from rollout.connectors.base import RecordPages
from rollout.connectors.crm_testbed import TestbedConnector
from rollout.testbed.server import Testbed


@pytest.fixture
def browser(testbed: Testbed) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=testbed.base_url, trust_env=False, follow_redirects=True) as client:
        page = client.post("/login", content=f"username=li.na&password={testbed.password}")
        assert page.status_code == 200
        yield client


@pytest.fixture
def crm(testbed: Testbed) -> Iterator[httpx.Client]:
    with testbed.client() as client:
        yield client


def create(crm: httpx.Client, entity: str = "account", **fields: object) -> str:
    base = {"name": "虚构客户", "legacy_no": "1"} | ({"region": "华东"} if entity == "account" else {})
    return str(crm.post(f"/api/{entity}", json={"fields": base | fields}).raise_for_status().json()["id"])


def test_pages_need_a_login(testbed: Testbed) -> None:
    with httpx.Client(base_url=testbed.base_url, trust_env=False) as stranger:
        for path in ("/view/account", "/view/contact", "/view/account/A-1001"):
            assert stranger.get(path).headers["location"] == "/login"
        stranger.cookies.set("testbed_token", "nonsense")
        assert stranger.get("/view/account").headers["location"] == "/login"
        refused = stranger.post("/login", content="username=li.na&password=wrong")
        assert refused.status_code == 401
        assert "用户名或密码不正确" in refused.text
        assert "set-cookie" not in refused.headers


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(testbed: Testbed) -> None:
    body = f"username=li.na&password={testbed.password}"
    cookie = httpx.post(f"{testbed.base_url}/login", content=body, trust_env=False).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_logging_out_makes_the_token_worthless(testbed: Testbed, browser: httpx.Client) -> None:
    token = browser.cookies["testbed_token"]
    assert browser.post("/logout").url.path == "/login"
    used_again = httpx.get(f"{testbed.base_url}/view/account", cookies={"testbed_token": token}, trust_env=False)
    assert used_again.headers["location"] == "/login"


def test_whatever_was_loaded_is_shown_as_text(browser: httpx.Client, crm: httpx.Client) -> None:
    evil = f'<script>alert("{uuid.uuid4()}")<b>'
    account = create(crm, name=evil, remark=evil, website='javascript:alert(1)"')
    contact = create(crm, "contact", name=evil, account=account)
    pages = [
        f"/view/account?q={evil}",
        f"/view/account/{account}",
        f"/view/contact/{contact}",
        f"/view/account/{quote(evil, safe='')}",
    ]
    for path in pages:
        page = browser.get(path)
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    record = browser.get(f"/view/account/{account}").text
    assert "&lt;script&gt;" in record
    assert 'href="javascript' not in record


def test_a_record_shows_names_values_relations_and_history(browser: httpx.Client, crm: httpx.Client) -> None:
    account = create(crm, name="虚构泵业", owner="zhou.tao", annual_revenue="12.50", employees=7)
    contact = create(crm, "contact", name="虚构联系人甲", account=account, is_primary=True)
    crm.patch(f"/api/account/{account}", json={"fields": {"level": "A"}}).raise_for_status()
    page = browser.get(f"/view/account/{account}").text
    for part in ("虚构泵业", "周涛", "12.5<", "虚构联系人甲", f"/view/contact/{contact}", "等级", "数据迁移"):
        assert part in page
    page = browser.get(f"/view/contact/{contact}").text
    assert f'<a href="/view/account/{account}">虚构泵业</a>' in page
    assert ">是<" in page


def test_the_search_takes_text_literally(browser: httpx.Client, crm: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    create(crm, name=f"{mark} 100% 虚构")
    create(crm, name=f"{mark} 100 虚构")
    assert "共 2 条" in browser.get("/view/account", params={"q": mark.upper()}).text
    assert "共 1 条" in browser.get("/view/account", params={"q": f"{mark} 100%"}).text
    none = browser.get("/view/account", params={"q": f"{mark}' OR '1'='1"}).text
    assert "共 0 条" in none
    assert "没有符合条件的记录" in none
    assert browser.get("/view/account?q=%00").status_code == 200


def test_lists_are_paged(browser: httpx.Client, crm: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    rows = [
        {"migration_key": f"{mark}-{n}", "op": "create", "fields": {"name": "虚构", "region": "华东", "legacy_no": "1"}}
        for n in range(51)
    ]
    crm.post("/api/account/batch", json={"rows": rows}).raise_for_status()
    first = browser.get("/view/account", params={"q": mark}).text
    assert first.count("<tr>") == 51
    link = first.split("下一页")[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = browser.get(link).text
    assert second.count("<tr>") == 2
    assert "第一页" in second


def test_what_does_not_exist_is_said(browser: httpx.Client) -> None:
    page = browser.get("/view/account/A-999999")
    assert page.status_code == 404
    assert "没有编号为 A-999999 的客户" in page.text


def test_the_connector_says_where_people_see_a_record(
    crm: httpx.Client, browser: httpx.Client, connect: Callable[..., TestbedConnector]
) -> None:
    name = f"虚构客户{uuid.uuid4().hex[:6]}"
    connector = connect()
    assert isinstance(connector, RecordPages)
    assert name in browser.get(connector.page_of("account", create(crm, name=name))).text
