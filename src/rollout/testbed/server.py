"""Start the CRM as a process of its own, for tests and the demo, and end it again."""

from __future__ import annotations

import functools
import os
import secrets
import select
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from rollout.errors import Fatal
from rollout.testbed import WECOM_CORP_ID
from rollout.testbed.fault_kinds import Fault

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
USERNAME = "migration"


@dataclass(frozen=True, slots=True)
class Testbed:
    """A running CRM. All made-up users have ``password``."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    base_url: str
    password: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)
    username: str = USERNAME

    @property
    def erp_url(self) -> str:
        """Where the ERP is; its token is `erp_token`."""
        return f"{self.base_url}/erp"

    @property
    def erp_token(self) -> str:
        """Bearer token for the ERP."""
        return self.password

    @property
    def wecom_url(self) -> str:
        """Where the fake of WeCom is, without ``/cgi-bin``."""
        return f"{self.base_url}/wecom"

    @property
    def wecom_corp_id(self) -> str:
        """Corp id at the fake of WeCom."""
        return WECOM_CORP_ID

    @property
    def wecom_secret(self) -> str:
        """Secret at the fake of WeCom."""
        return self.password

    @property
    def dingtalk_url(self) -> str:
        """Where the fake of the DingTalk robot is, without ``/robot/send``."""
        return f"{self.base_url}/dingtalk"

    @property
    def dingtalk_access_token(self) -> str:
        """Access token of the robot."""
        return self.password

    @property
    def dingtalk_secret(self) -> str:
        """Signing secret of the robot."""
        return self.password

    def client(self, username: str = USERNAME) -> httpx.Client:
        """A logged-in HTTP client, to act as this user does."""
        credentials = {"username": username, "password": self.password}
        answer = httpx.post(f"{self.base_url}/api/token", json=credentials, trust_env=False, verify=_unencrypted())
        headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
        return httpx.Client(base_url=self.base_url, headers=headers, trust_env=False, timeout=30, verify=_unencrypted())

    def inject(self, endpoint: str, fault: Fault, *, skip: int = 0, times: int = 1, seconds: float = 0) -> None:
        """Let calls of ``endpoint`` (such as ``account/batch``) go wrong; needs ``faults=True``."""
        planned = {"endpoint": endpoint, "fault": fault.value, "skip": skip, "times": times, "seconds": seconds}
        with self.client() as client:
            client.post("/api/admin/faults", json=planned).raise_for_status()

    def schedule_faults(
        self,
        seed: int,
        rates: Mapping[str, Mapping[Fault, float]],
        *,
        seconds: Mapping[Fault, float] | None = None,
    ) -> None:
        """Let calls go wrong by chance: share of an endpoint's calls by fault; needs ``faults=True``.

        Args:
            seed: The same one draws the same faults for the same calls.
            rates: By endpoint (such as ``account/batch``) and fault; an endpoint's together at most 1.
            seconds: How long a fault lasts, or what Retry-After says; 0 if it is not named.
        """
        lasts = {fault.value: length for fault, length in (seconds or {}).items()}
        endpoints = [
            {"endpoint": name, "rates": {fault.value: rate for fault, rate in shares.items()}, "seconds": lasts}
            for name, shares in rates.items()
        ]
        with self.client() as client:
            answer = client.post("/api/admin/fault-schedule", json={"seed": seed, "endpoints": endpoints})
            answer.raise_for_status()

    def suffered(self) -> dict[str, dict[Fault, int]]:
        """How many calls met with each fault since the schedule began, by endpoint."""
        with self.client() as client:
            told = client.get("/api/admin/fault-schedule").raise_for_status().json()["endpoints"]
        return {
            endpoint: {Fault(name): times for name, times in entry["faults"].items()}
            for endpoint, entry in told.items()
        }

    def forget_faults(self) -> None:
        """Everything goes well again."""
        with self.client() as client:
            client.delete("/api/admin/faults").raise_for_status()

    def kill(self) -> None:
        """``kill -9``, and wait for the end."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def running(
    database_url: str,
    port: int = 0,
    *,
    password: str | None = None,
    token_lifetime_s: int = 3600,
    faults: bool = False,
    log_path: Path | None = None,
) -> Iterator[Testbed]:
    """A CRM in a subprocess, answering from the first moment, ended by its pid; it also ends if this process dies.

    Args:
        database_url: An (empty) PostgreSQL database of its own.
        port: 0 for a free one below 32768.
        password: Of all made-up users; a random one if None.
        token_lifetime_s: How long a login holds.
        faults: Allow `Testbed.inject`.
        log_path: Where its log goes; a temporary file if None.

    Raises:
        Fatal: It did not start; the message has the end of its log.
    """
    password = password or secrets.token_urlsafe(16)
    environment = os.environ | {"ROLLOUT_TESTBED_DATABASE_URL": database_url, "ROLLOUT_TESTBED_PASSWORD": password}
    command = [sys.executable, "-m", "rollout.testbed", "--until-eof", f"--port={port}"]
    command += [f"--token-lifetime={token_lifetime_s}", *(["--faults"] if faults else [])]
    with tempfile.TemporaryFile() if log_path is None else log_path.open("w+b") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        with process:
            try:
                address = _first_line(process)
                if not address:
                    process.kill()
                    process.wait(STOP_TIMEOUT_S)
                    log.seek(0)
                    tail = log.read()[-2000:].decode("utf-8", "replace")
                    raise Fatal(f"the testbed CRM did not start: {tail.strip()}", hint="check its database and port")
                httpx.get(
                    f"{address}/api/health", timeout=START_TIMEOUT_S, trust_env=False, verify=_unencrypted()
                ).raise_for_status()
                yield Testbed(address, password, process)
            finally:
                _stop(process)


@functools.cache
def _unencrypted() -> ssl.SSLContext:
    """What a client needs and never uses on loopback; made once, since that takes as long as dozens of calls."""
    return ssl.create_default_context()


def _first_line(process: subprocess.Popen[bytes]) -> str:
    """The address it prints once it answers; "" if it ended or took too long."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    return process.stdout.readline().decode().strip() if ready else ""


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
