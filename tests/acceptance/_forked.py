"""Runs `rollout` again and again in processes of their own, without each of them loading Python and the libraries anew.

A server loads the program once and forks a process for every command. Each is a process like any other: it has a pid,
can be killed, and nothing of it remains.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SERVER = """
import json, os, sys
from rollout.cli import app
from rollout.cli import load, undo, plan, approve
from rollout.phases import approve as a, load as l, plan as p, undo as u, undo_make as m
from rollout.connectors import crm_testbed, files
for line in sys.stdin:
    told = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.environ.update(told["environ"])
        for number, path in ((0, os.devnull), (1, told["stdout"]), (2, told["stderr"])):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os._exit(app.run(told["arguments"]))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Forked:
    """One `rollout` at a time."""

    server: subprocess.Popen[str]
    root: Path
    environ: Mapping[str, str]
    folder: Path

    def start(self, *arguments: str) -> int:
        """Start a command; answers its pid."""
        told = {
            "arguments": ["--project", str(self.root), *arguments, "--json"],
            "environ": dict(self.environ),
            "stdout": str(self.folder / "stdout"),
            "stderr": str(self.folder / "stderr"),
        }
        self.server.stdin.write(json.dumps(told) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self) -> int:
        """How the command ended: its exit code, or minus the signal."""
        return int(self.server.stdout.readline())

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> dict:
        """Run a command to its end; answers the object that it printed."""
        self.start(*arguments)
        code = self.wait()
        told = (self.folder / "stdout").read_text(encoding="utf-8")
        assert code in codes, f"{arguments}: exit {code}\n{told}\n{(self.folder / 'stderr').read_text('utf-8')}"
        return json.loads(told)


@contextmanager
def forked(root: Path, environ: Mapping[str, str], folder: Path) -> Iterator[Forked]:
    """A server that runs commands of a project; ``folder`` is for what they print."""
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            yield Forked(server, root, environ, folder)
        finally:
            server.stdin.close()
            server.wait(60)
