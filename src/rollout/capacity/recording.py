"""What Locust is told and what it writes down: one JSON line a request, so that a killed run keeps what it saw.

Times are seconds on one monotonic clock, counted from the beginning of the test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from rollout.model.base import Frozen
from rollout.model.loadtest import LoadSettings

OPTIONS = "ROLLOUT_LOADTEST_OPTIONS"
"""Environment variable: path of the file that holds `LocustOptions`."""
PASSWORD = "ROLLOUT_LOADTEST_PASSWORD"  # noqa: S105 - a variable's name
"""Environment variable: the simulated users' password. It stands in no file and on no command line."""


class LocustOptions(Frozen):
    """What the Locust process is told."""

    settings: LoadSettings
    username: str
    key_prefix: str = Field(description="Begins the migration key of every record, such as `loadtest:1a2b3c4d:`.")
    timeout_s: float = Field(gt=0, description="Longest wait for an answer; longer is an error.")
    settle_s: float = Field(gt=0, description="Seconds after the ramp at which the hold begins, come what may.")
    parent_pid: int = Field(description="The process that judges; the test ends when it is gone.")
    recording: str = Field(description="File to write.")


@dataclass(frozen=True, slots=True)
class Sample:
    """One request."""

    at_s: float
    """When it was sent."""
    seconds: float
    """Until its answer was read, or given up."""
    user: int
    users: int
    """Users that were started when it ended."""
    name: str
    """The activity, such as `create_account`."""
    error: str = ""
    """Empty: it did what it should. Otherwise a code."""

    @property
    def ok(self) -> bool:
        """Whether it did what it should."""
        return not self.error

    @property
    def ended_s(self) -> float:
        """When its answer was there."""
        return self.at_s + self.seconds


@dataclass(frozen=True, slots=True)
class Stored:
    """A record that the CRM said it stored."""

    entity: str
    key: str
    field: str
    """A field that was sent …"""
    value: str
    """… and its value, by which the record is known again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to the test itself."""

    what: str
    """`began`, `hold_began`, `hold_ended` or `generator_busy`."""
    at_s: float


@dataclass(frozen=True)
class Recording:
    """A test as it was written down."""

    samples: tuple[Sample, ...] = ()
    stored: tuple[Stored, ...] = ()
    marks: tuple[Mark, ...] = ()

    def mark(self, what: str) -> float | None:
        """When something first happened; None: never."""
        return next((mark.at_s for mark in self.marks if mark.what == what), None)


_KINDS: dict[str, type[Sample | Stored | Mark]] = {"sample": Sample, "stored": Stored, "mark": Mark}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def line(entry: Sample | Stored | Mark) -> str:
    """An entry as a line of the file, line feed included."""
    return json.dumps({"kind": _NAMES[type(entry)], **asdict(entry)}, ensure_ascii=False) + "\n"


def read_recording(path: Path) -> Recording:
    """What a test wrote. A last line cut short by the process's end is left out; no file at all is an empty test."""
    found: dict[type, list[Any]] = {Sample: [], Stored: [], Mark: []}
    for entry in _entries(path):
        kind = _KINDS[entry.pop("kind")]
        found[kind].append(kind(**entry))
    return Recording(tuple(found[Sample]), tuple(found[Stored]), tuple(found[Mark]))


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("\n"):
                yield json.loads(text)
