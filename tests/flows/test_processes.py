"""Services are recorded, recognised, and stopped with their children; nothing else is ever signalled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from processes import LAST_PORT, Processes, ServiceError, free_port

PARENT_WITH_CHILD = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(600)"
)


@pytest.fixture
def processes(tmp_path):
    return Processes(tmp_path / "services", tmp_path / "logs")


def start(processes, tmp_path, command, ready=lambda: True, timeout_s=20):
    return processes.start(
        "thing",
        [sys.executable, "-c", *command],
        environment=os.environ,
        folder=tmp_path,
        address="here",
        ready=ready,
        timeout_s=timeout_s,
    )


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
    import socket

    with socket.socket() as taken:
        port = free_port(21_000)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert port < free_port(port) <= LAST_PORT


def test_a_process_that_has_only_just_begun_is_recorded_with_its_command_line(processes):
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    for _ in range(60):  # about one in fifteen has no command line yet when it is looked at
        child = subprocess.Popen(command)
        try:
            assert processes.remember("thing", child.pid, "").command == command
        finally:
            child.kill()
            child.wait()
