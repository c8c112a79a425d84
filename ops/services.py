"""The services around one rollout project: testbed CRM, report server, Prefect server, Prefect worker.

All listen on the loopback only. Their addresses and secrets lie in the workspace (`rollout.project.local_env`), so that
they stay the same from start to start, and a plain shell's ``rollout`` finds them.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import httpx
from processes import PortTakenError, Processes, Record, ServiceError, free_port

from rollout.project.database import database_url
from rollout.project.loader import Project, find_project, load_project
from rollout.project.local_env import read_local_env, write_local_env

ROOT = Path(__file__).resolve().parents[1]
POOL = "rollout"
PREFECT, WORKER, TESTBED, REPORTS, UI = "prefect-server", "prefect-worker", "testbed-crm", "reports", "ui"
PREFECT_PORT, TESTBED_PORT = 4200, 8040
REPORTS_PORTS = range(21_000, 29_000)
"""A workspace settles on one of them for good, long before anything listens there; two rarely want the same."""
PORT_TRIES = 5
REPORTS_URL = "ROLLOUT_REPORTS_URL"
START_TIMEOUT_S = 120.0
UI_ANALYTICS_KEY = b"c97dd2acbf306ab7bf54aca0aeb7ffa1"
TESTBED_CONNECTOR = "crm_testbed"


class Services:
    """Starts what a project needs around it. Each `start_…` answers the record, and whether it had to be started."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.workspace = project.workspace
        self.processes = Processes(self.workspace.root / "services", self.workspace.logs)

    @classmethod
    def of(cls, folder: Path) -> Services:
        """The services of the project at or above ``folder``. Raises ConfigError.

        What only a running testbed can tell is filled in for reading the project file; `start_testbed` settles it.
        """
        unsettled = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1", "ROLLOUT_TESTBED_PASSWORD": ""}
        return cls(load_project(find_project(folder), environ=unsettled | os.environ))

    def start_database(self) -> None:
        """The embedded PostgreSQL, unless there is a server of one's own; and Prefect's database."""
        database_url(self.project, database="prefect")

    def starters(self) -> list[tuple[str, Callable[[], tuple[Record, bool]]]]:
        """Everything that `make ui` needs, in the order to start it in."""
        testbed = [(TESTBED, self.start_testbed)] if self.uses_testbed else []
        return [*testbed, (REPORTS, self.start_reports), (PREFECT, self.start_prefect), (WORKER, self.start_worker)]

    @property
    def uses_testbed(self) -> bool:
        """Whether the project loads into the testbed CRM."""
        return any(system.connector == TESTBED_CONNECTOR for system in self.project.spec.systems.values())

    def start_testbed(self) -> tuple[Record, bool]:
        """The testbed CRM, on a database of its own."""
        local = read_local_env(self.workspace.root)
        password = local.get("ROLLOUT_TESTBED_PASSWORD") or secrets.token_urlsafe(24)
        record, is_new = self._start_listening(
            TESTBED,
            urlsplit(local.get("ROLLOUT_TESTBED_URL", "")).port or TESTBED_PORT,
            lambda port: [sys.executable, "-m", "rollout.testbed", "--port", str(port)],
            environment=lambda _: self._environment(
                ROLLOUT_TESTBED_DATABASE_URL=database_url(self.project, database="testbed"),
                ROLLOUT_TESTBED_PASSWORD=password,
            ),
            ready=lambda url: _answers(f"{url}/api/health"),
        )
        if is_new:
            write_local_env(
                self.workspace.root, {"ROLLOUT_TESTBED_URL": record.address, "ROLLOUT_TESTBED_PASSWORD": password}
            )
        return record, is_new

    def start_reports(self) -> tuple[Record, bool]:
        """The server of the workspace's reports, below a secret path."""
        known = urlsplit(self._reports_url())
        token = known.path.strip("/")
        record, is_new = self._start_listening(
            REPORTS,
            known.port or REPORTS_PORTS.start,
            lambda port: [sys.executable, str(ROOT / "ops/report_server.py"), str(self.workspace.reports), str(port)],
            environment=lambda _: self._environment(ROLLOUT_REPORTS_TOKEN=token),
            path=f"/{token}",
            ready=lambda url: _get(url) is not None,
        )
        if is_new:
            write_local_env(self.workspace.root, {REPORTS_URL: record.address})
        return record, is_new

    def start_prefect(self) -> tuple[Record, bool]:
        """The Prefect server, on a database of its own beside the journal."""
        database = urlsplit(database_url(self.project, database="prefect"))._replace(scheme="postgresql+asyncpg")
        record, is_new = self._start_listening(
            PREFECT,
            PREFECT_PORT,
            lambda port: [*_prefect_server(), "start", "--host", "127.0.0.1", "--port", str(port)],
            environment=lambda url: (
                self.prefect_environment(url) | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.geturl()}
            ),
            ready=lambda url: _answers(f"{url}/api/health"),
        )
        if is_new:
            _silence_ui(self._prefect_home / "ui")
        return record, is_new

    def prefect_answers(self) -> bool:
        """Whether our Prefect server is there, and well."""
        record = self.processes.running(PREFECT)
        return record is not None and _answers(f"{record.address}/api/health")

    def _start_listening(
        self,
        name: str,
        preferred: int,
        command: Callable[[int], Sequence[str]],
        *,
        environment: Callable[[str], Mapping[str, str]],
        ready: Callable[[str], bool],
        path: str = "",
    ) -> tuple[Record, bool]:
        """A service on the preferred port or the next free one; another one when somebody was faster to bind it."""
        with self.processes.alone(name):
            if record := self.processes.running(name):
                return record, False
            port = preferred
            for attempt in range(1, PORT_TRIES + 1):
                port = free_port(port)
                url = f"http://127.0.0.1:{port}{path}"
                try:
                    record = self.processes.start(
                        name,
                        command(port),
                        environment=environment(url),
                        folder=ROOT,
                        address=url,
                        ready=partial(ready, url),
                        timeout_s=START_TIMEOUT_S,
                        port=port,
                    )
                except PortTakenError:
                    if attempt == PORT_TRIES:
                        raise
                    port += 1
                else:
                    return record, True
        raise AssertionError("the last attempt answers or raises")

    def deploy(self, prefect: Record) -> None:
        """Make every deployment of `prefect.yaml` as it is now; the work pool must exist. Raises ServiceError."""
        log = self.workspace.logs / "prefect-deploy.log"
        with log.open("ab") as output:
            done = subprocess.run(  # noqa: S603 - our own command
                [*_prefect(), "--no-prompt", "deploy", "--all", "--prefect-file", str(self._prefect_file())],
                cwd=ROOT,
                env=self.prefect_environment(prefect.address),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=START_TIMEOUT_S,
                check=False,
            )
        if done.returncode != 0:
            raise ServiceError(f"`prefect deploy --all` failed; its log: {log}")

    def _prefect_file(self) -> Path:
        """`prefect.yaml`, with the schedules in the project's time zone."""
        path = ROOT / "prefect.yaml"
        text = path.read_text(encoding="utf-8")
        zoned = in_zone(text, self.project.spec.project.time_zone)
        if zoned == text:
            return path
        path = self._prefect_home / "prefect.yaml"
        path.write_text(zoned, encoding="utf-8")
        return path

    def start_worker(self) -> tuple[Record, bool]:
        """Every deployment as `prefect.yaml` has it now, and the worker that runs them, a process a run."""
        prefect, _ = self.start_prefect()
        with self.processes.alone(WORKER):
            record = self.processes.running(WORKER)
            is_new = record is None
            if record is None:
                record = self.processes.start(
                    WORKER,
                    [*_prefect(), *f"--no-prompt worker start --pool {POOL} --type process --name {WORKER}".split()],
                    environment=self.prefect_environment(prefect.address),
                    folder=ROOT,
                    address=f"work pool '{POOL}'",
                    ready=lambda: _worker_online(prefect.address),  # it makes the work pool that deployments name
                    timeout_s=START_TIMEOUT_S,
                )
            try:
                self.deploy(prefect)
            except BaseException:
                if is_new:
                    self.processes.stop(WORKER)
                raise
        return record, is_new

    def prefect_environment(self, url: str) -> dict[str, str]:
        """The environment of everything that runs Prefect: at home in the workspace, silent to the outside."""
        self._prefect_home.mkdir(mode=0o700, exist_ok=True)
        self._reports_url()
        return self._environment(
            PREFECT_HOME=str(self._prefect_home),
            PREFECT_UI_STATIC_DIRECTORY=str(self._prefect_home / "ui"),
            PREFECT_API_URL=f"{url}/api",
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="false",  # never a second server behind our back
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT="false",
            PREFECT_WORKER_QUERY_SECONDS="2",
            ROLLOUT_PROJECT=str(self.project.root),
            **read_local_env(self.workspace.root),
        )

    def _reports_url(self) -> str:
        """Where reports are or will be served, settled once: links in artifacts stay good from start to start."""
        url = read_local_env(self.workspace.root).get(REPORTS_URL)
        if url is None:
            at = crc32(bytes(self.workspace.root)) % len(REPORTS_PORTS)
            url = f"http://127.0.0.1:{free_port(REPORTS_PORTS[at])}/{secrets.token_urlsafe(24)}"
            write_local_env(self.workspace.root, {REPORTS_URL: url})
        return url

    @property
    def _prefect_home(self) -> Path:
        return self.workspace.root / "prefect"

    def _environment(self, **settings: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return inherited | {"PYTHONUNBUFFERED": "1"} | settings


def _silence_ui(static: Path) -> None:
    """Take the analytics key out of the pages that the Prefect server copied for browsers.

    Prefect's second UI fetches its tracker's configuration from abroad on every page, whatever the settings say;
    without a key it does not begin to. A test watches what the browser asks for.
    """
    for script in static.rglob("*.js"):
        text = script.read_bytes()
        if UI_ANALYTICS_KEY in text:
            draft = script.with_suffix(".draft")
            draft.write_bytes(text.replace(UI_ANALYTICS_KEY, b""))
            draft.replace(script)


def in_zone(text: str, time_zone: str) -> str:
    """The text of a `prefect.yaml` with every schedule in a time zone."""
    return re.sub(r"(?<=timezone: )[^\s,}]+", time_zone, text)


def _prefect() -> list[str]:
    return [sys.executable, "-m", "prefect"]


def _prefect_server() -> list[str]:
    return [sys.executable, str(ROOT / "ops/prefect_server.py"), "server"]


def _get(url: str, body: Mapping[str, object] | None = None) -> httpx.Response | None:
    try:
        with httpx.Client(timeout=5, trust_env=False) as client:
            return client.get(url) if body is None else client.post(url, json=body)
    except httpx.TransportError:
        return None


def _answers(url: str) -> bool:
    response = _get(url)
    return response is not None and response.is_success


def _worker_online(url: str) -> bool:
    response = _get(f"{url}/api/work_pools/{POOL}/workers/filter", {})
    return (
        response is not None
        and response.is_success
        and any(worker["name"] == WORKER and worker["status"] == "ONLINE" for worker in response.json())
    )
