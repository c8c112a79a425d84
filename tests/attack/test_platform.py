"""`make ui` and `make stop`: everything comes up, is seen in a real browser, and goes down without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import psutil
import pytest
import yaml

from rollout.project import postgres
from rollout.testbed.demodata import generate

pytestmark = [pytest.mark.attack, pytest.mark.xdist_group("platform")]
ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 240
DEPLOYMENTS = {entry["name"] for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
SCHEDULED = {"sync", "health", "nightly-sync-check", "retention", "monthly-operation-report"}
ON_ONE_PAGE = 10


class Platform:
    """`make ui` on a project of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / ".rollout"
        self.output = folder / "ui.txt"
        self.home = folder.parent / "home"
        self.home.mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    def script(self, name: str) -> list[str]:
        return [sys.executable, str(ROOT / "ops" / f"{name}.py"), "--project", str(self.folder)]

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.script("ui"),
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=os.environ | {"HOME": str(self.home)},
            )

    def wait(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while "in a browser" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.5)

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def record(self, name: str) -> dict:
        return json.loads((self.workspace / "services" / f"{name}.json").read_text(encoding="utf-8"))

    def processes(self) -> list[psutil.Process]:
        """What ui.py runs, and all of its children's children."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project for all, so that its databases are made once."""
    folder = tmp_path_factory.mktemp("platform") / "company"
    shutil.copytree(ROOT / "demo", folder, ignore=shutil.ignore_patterns(".rollout", "legacy"))
    generate(folder / "legacy", accounts=200, seed=5)
    return folder


@pytest.fixture
def platform(company: Path) -> Iterator[Platform]:
    platform = Platform(company)
    yield platform
    if platform.process and platform.process.poll() is None:
        platform.end(signal.SIGTERM)
    subprocess.run(platform.script("stop"), check=True, capture_output=True)


def get(url: str, path: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.post(url + path, json={}) if path.endswith("filter") else client.get(url + path)


def test_everything_comes_up_tells_a_second_one_and_goes_down_on_ctrl_c(platform):
    platform.start()
    prefect = platform.record("prefect-server")["address"]
    assert {entry["name"] for entry in get(prefect, "/api/deployments/filter").json()} == DEPLOYMENTS
    assert urlsplit(prefect).hostname == "127.0.0.1"
    assert list(platform.home.iterdir()) == [], "nothing is written to the user's home folder"
    assert _scheduled(prefect) == SCHEDULED

    second = subprocess.run(platform.script("ui"), capture_output=True, text=True, check=False)
    assert second.returncode == 0
    assert "runs already" in second.stdout
    assert prefect in second.stdout

    running = platform.processes()
    assert len(running) >= 4
    assert platform.end(signal.SIGINT) == 0, platform.said()
    assert "stopped: prefect-worker, prefect-server, reports, testbed-crm, postgresql" in platform.said()
    assert [process for process in running if process.is_running()] == []
    assert not postgres.status(platform.workspace / "postgres").running
    assert list((platform.workspace / "services").glob("*.json")) == []


def _scheduled(prefect: str) -> set[str]:
    """The flows that schedules have made runs of, as soon as there are all."""
    found: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while found != SCHEDULED and time.monotonic() < deadline:
        time.sleep(0.5)
        flows = {flow["id"]: flow["name"] for flow in get(prefect, "/api/flows/filter").json()}
        runs = get(prefect, "/api/flow_runs/filter").json()
        found = {flows[run["flow_id"]] for run in runs if run["auto_scheduled"]}
    return found


def test_two_that_start_at_once_share_a_project_but_never_a_server(platform, tmp_path):
    """Ports are chosen long before Prefect listens: two projects find the same one free."""
    same = Platform(platform.folder)
    same.output = tmp_path / "same.txt"
    other_folder = tmp_path / "other"
    shutil.copytree(platform.folder, other_folder, ignore=shutil.ignore_patterns(".rollout", "ui.txt"))
    other = Platform(other_folder)
    try:
        for each in (platform, same, other):
            each.begin()
        (over,) = _until_one_is_over([platform, same])
        assert over.process.returncode == 0
        assert "runs already" in over.said()
        runs = same if over is platform else platform
        runs.wait()
        other.wait()
        addresses = [each.record(name)["address"] for each in (runs, other) for name in ("prefect-server", "reports")]
        assert len(set(addresses)) == 4
        for each in (runs, other):
            assert each.end(signal.SIGINT) == 0, each.said()
    finally:
        for each in (platform, same, other):
            if each.process and each.process.poll() is None:
                each.end(signal.SIGTERM)
        subprocess.run(other.script("stop"), check=True, capture_output=True)


def _until_one_is_over(platforms: list[Platform]) -> list[Platform]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if over := [each for each in platforms if each.process.poll() is not None]:
            return over
        time.sleep(0.2)
    raise AssertionError([each.said() for each in platforms])


@pytest.mark.parametrize("seconds", [0.5, 2, 5])
def test_ctrl_c_while_it_starts_leaves_nothing(platform, seconds):
    platform.begin()
    deadline = time.monotonic() + WAIT_S
    while not (platform.workspace / "services" / "ui.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(seconds)
    running = platform.processes()
    assert platform.end(signal.SIGINT) == 0, platform.said()
    assert "Traceback" not in platform.said()
    assert [process for process in running if process.is_running()] == []
    assert not postgres.status(platform.workspace / "postgres").running
    assert list((platform.workspace / "services").glob("*.json")) == []


def test_a_service_that_dies_is_named_with_its_log_and_the_rest_is_stopped(platform):
    platform.start()
    os.kill(platform.record("testbed-crm")["pid"], signal.SIGKILL)
    assert platform.process.wait(WAIT_S) == 3
    said = platform.said().replace("\n", "")
    assert "testbed-crm" in said
    assert "ended on its own; its log:" in said
    assert str(platform.workspace / "logs" / "testbed-crm.log") in said
    assert not postgres.status(platform.workspace / "postgres").running


def test_a_database_that_dies_is_named_too(platform):
    platform.start()
    server = postgres.status(platform.workspace / "postgres")
    psutil.Process(server.pid).send_signal(signal.SIGINT)  # its own "fast" shutdown, asked for by somebody else
    assert platform.process.wait(WAIT_S) == 3
    assert "postgresql" in platform.said()
    assert str(platform.workspace / "postgres" / "server.log") in platform.said().replace("\n", "")


def test_stop_ends_a_platform_whose_script_was_killed(platform):
    platform.start()
    running = platform.processes()
    platform.end(signal.SIGKILL)
    assert all(process.is_running() for process in running[:1])
    done = subprocess.run(platform.script("stop"), capture_output=True, text=True, check=True)
    assert "prefect-worker, prefect-server, reports, testbed-crm, postgresql" in done.stdout.replace("\n", " ")
    _, alive = psutil.wait_procs(running, timeout=30)
    assert alive == []


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="no chromedriver on this machine")
def test_a_browser_sees_the_deployments_and_asks_nobody_else_for_anything(platform, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    platform.start()
    address = platform.record("prefect-server")["address"]
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'browser'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(
        service=webdriver.ChromeService(executable_path=shutil.which("chromedriver")), options=options
    )
    try:
        wait = WebDriverWait(driver, 60)
        driver.get(f"{address}/deployments")
        wait.until(lambda seen: all(name in seen.page_source for name in sorted(DEPLOYMENTS)[:ON_ONE_PAGE]))
        for flow, deployment, asked_for, codes in (
            ("import-retry", "import (retry rejects)", "重试计划", 0),
            ("undo-plan", "undo (plan)", "连同之后的", 0),
            ("approve", "approve-plan", "个人代码", 1),
        ):
            form = get(address, f"/api/deployments/name/{flow}/{quote(deployment)}").json()["id"]
            driver.get(f"{address}/v2/deployments/deployment/{form}/run")
            wait.until(lambda seen, asked_for=asked_for: asked_for in seen.page_source)
            assert len(driver.find_elements(By.CSS_SELECTOR, "input[type=password]")) == codes, deployment
        requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        asked = [
            message["params"]["request"]["url"]
            for message in requests
            if message["method"] == "Network.requestWillBeSent"
        ]
        hosts = {urlsplit(url).hostname for url in asked if urlsplit(url).scheme in {"http", "https", "ws", "wss"}}
        assert hosts == {"127.0.0.1"}
    finally:
        driver.quit()
