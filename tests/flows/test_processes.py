"""Services are recorded, recognised, and stopped with their children; nothing else is ever signalled."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from processes import LAST_PORT, PortTakenError, Processes, ServiceError, free_port

from rollout.project.local_env import read_local_env

ROOT = Path(__file__).resolve().parents[2]
PARENT_WITH_CHILD = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(600)"
)


@pytest.fixture
def processes(tmp_path):
    return Processes(tmp_path / "services", tmp_path / "logs")


LISTENER = (
    "import socket, subprocess, sys, time; "
    "server = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
)


def start(processes, tmp_path, command, ready=lambda: True, timeout_s=20, port=None):
    return processes.start(
        "thing",
        [sys.executable, "-c", *command],
        environment=os.environ,
        folder=tmp_path,
        address="here",
        ready=ready,
        timeout_s=timeout_s,
        port=port,
    )


@contextmanager
def squatter() -> Iterator[int]:
    """Somebody else who listens on a port."""
    port = free_port(22_000)
    with socket.create_server(("127.0.0.1", port)):
        yield port


def test_stop_ends_the_process_and_its_children(processes, tmp_path):
    child_file = tmp_path / "child"
    record = start(
        processes,
        tmp_path,
        [PARENT_WITH_CHILD, str(child_file)],
        ready=lambda: child_file.exists() and child_file.read_text(),
    )
    child = psutil.Process(int(child_file.read_text()))
    assert processes.running("thing") == record
    assert processes.stop("thing")
    assert record.process() is None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert processes.running("thing") is None
    assert not processes.stop("thing")


@pytest.mark.parametrize("lie", [{"started_at_s": 1.0}, {"command": ["somebody", "else"]}])
def test_a_pid_that_now_is_somebody_elses_is_never_signalled(processes, lie):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        processes.remember("thing", bystander.pid, "")
        file = processes.folder / "thing.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | lie))
        assert processes.running("thing") is None
        assert not processes.stop("thing")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_clock_that_was_put_right_by_a_second_loses_no_service(processes):
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        record = processes.remember("thing", ours.pid, "")
        file = processes.folder / "thing.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"started_at_s": record.started_at_s - 1.5}))
        assert processes.running("thing")
    finally:
        ours.kill()
        ours.wait()


def test_a_service_that_ends_while_starting_is_told_with_its_log(processes, tmp_path):
    with pytest.raises(ServiceError, match=r"thing ended with code 7 while starting; its log: .*thing\.log"):
        start(processes, tmp_path, ["print('why'); raise SystemExit(7)"], ready=lambda: False)
    assert "why" in (processes.logs / "thing.log").read_text()
    assert processes.running("thing") is None


def test_a_service_that_is_not_ready_in_time_is_stopped(processes, tmp_path):
    pid_file = tmp_path / "pid"
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(ServiceError, match="not ready after"):
        start(processes, tmp_path, [script, str(pid_file)], ready=lambda: False, timeout_s=1)
    assert not psutil.pid_exists(int(pid_file.read_text()))


def test_records_are_listed_in_the_order_of_their_start(processes):
    first = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(0.05)
    second = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        processes.remember("b-first", first.pid, "")
        processes.remember("a-second", second.pid, "")
        assert [record.name for record in processes.all_running()] == ["b-first", "a-second"]
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def test_a_free_port_is_one_that_nobody_listens_on():
    with squatter() as port:
        assert port < free_port(port) <= LAST_PORT


def test_a_service_is_ready_when_itself_listens(processes, tmp_path):
    port = free_port(23_000)
    start(processes, tmp_path, [LISTENER, str(port)], port=port)
    with socket.create_connection(("127.0.0.1", port)):
        assert processes.stop("thing")


def test_a_service_whose_child_listens_is_ready(processes, tmp_path):
    port = free_port(24_000)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LISTENER!r}, sys.argv[1]])"
    start(processes, tmp_path, [parent, str(port)], port=port)
    assert processes.stop("thing")
    assert free_port(port) == port


@pytest.mark.parametrize("script", ["import time; time.sleep(600)", LISTENER])
def test_anothers_answer_on_the_port_is_never_taken_for_ones_own(processes, tmp_path, script):
    """The other one was faster, and answers as ours would; ours is still on its way, or has failed to bind."""
    with squatter() as port, pytest.raises(PortTakenError, match=f"port {port}"):
        start(processes, tmp_path, [script, str(port)], port=port)
    assert processes.running("thing") is None


def test_of_two_who_start_at_once_one_waits(processes):
    order: list[str] = []

    def second() -> None:
        with Processes(processes.folder, processes.logs).alone("thing"):
            order.append("second")

    with processes.alone("thing"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


@pytest.fixture
def services(tmp_path, monkeypatch):
    import services

    folder = tmp_path / "company"
    shutil.copytree(ROOT / "demo", folder, ignore=shutil.ignore_patterns(".rollout"))
    made = services.Services.of(folder)
    yield made
    for record in made.processes.all_running():
        made.processes.stop(record.name)


def test_a_service_that_loses_its_port_while_starting_gets_another(services, monkeypatch):
    """`free_port` says what was true a moment ago: the port it names first is taken since."""
    with squatter() as port:
        said = iter([port])
        monkeypatch.setattr("services.free_port", lambda preferred: next(said, None) or free_port(preferred))
        record, is_new = services.start_reports()
        assert is_new
        assert urlsplit(record.address).port > port
        assert read_local_env(services.workspace.root)["ROLLOUT_REPORTS_URL"] == record.address
        assert services.start_reports() == (record, False)


def test_a_process_that_has_only_just_begun_is_recorded_with_its_command_line(processes):
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    for _ in range(60):  # about one in fifteen has no command line yet when it is looked at
        child = subprocess.Popen(command)
        try:
            assert processes.remember("thing", child.pid, "").command == command
        finally:
            child.kill()
            child.wait()
