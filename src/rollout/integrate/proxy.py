"""A TCP proxy that fails on purpose: what a network does to two systems, done to order.

It runs in a thread of its own and listens on loopback only. Put it in front of a system by giving a connector its
address; drills switch its mode while a sync runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from rollout.errors import UnsupportedOperation

HOST = "127.0.0.1"
_CHUNK_BYTES = 65_536
_START_TIMEOUT_S = 10.0
T = TypeVar("T")


class Mode(StrEnum):
    """What becomes of traffic."""

    PASS = "pass"  # noqa: S105 - a mode, not a password
    REFUSE = "refuse"
    """Nothing listens: connections are refused, and those that are open are cut."""
    LOST_ANSWER = "lost_answer"
    """The request gets through and is carried out; its answer is swallowed, and the connection closed."""
    DELAY = "delay"
    """Every piece of traffic waits before it goes on."""


@dataclass
class Counters:
    """What the proxy did so far."""

    connections: int = 0
    """Accepted; refused ones are not seen by anybody."""
    lost_answers: int = 0


class FaultProxy:
    """A proxy to one system; use it in a ``with``. Thread-safe.

    Args:
        upstream_url: Where it leads, such as ``http://127.0.0.1:21000/erp``. Without TLS: what is encrypted for the
            system's own name cannot be spoken to under another. Raises UnsupportedOperation for anything else.
    """

    def __init__(self, upstream_url: str) -> None:
        parts = urlsplit(upstream_url)
        if parts.scheme != "http" or not parts.hostname:
            raise UnsupportedOperation(
                f"a fault proxy cannot stand in front of {parts.scheme or 'nothing'}://{parts.hostname or ''}",
                hint="interrupt that system's network by hand, or drill against a test system that speaks http",
            )
        self._parts = parts
        self._upstream = (parts.hostname, parts.port or 80)
        self.counters = Counters()
        self._mode = Mode.PASS
        self._delay_s = 0.0
        self._losses = 0
        self._matching = b""
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    # --- what others see of it ---

    @property
    def url(self) -> str:
        """The system's address, through the proxy."""
        return urlunsplit(self._parts._replace(netloc=f"{HOST}:{self._port}"))

    def refuse(self) -> None:
        """From now on nothing listens."""
        self._run(self._refuse())

    def lose_answers(self, times: int = 1, *, matching: bytes = b"") -> None:
        """Swallow the answers to the next ``times`` requests that contain these bytes, then pass again."""
        self._run(self._set(Mode.LOST_ANSWER, losses=times, matching=matching))

    def delay(self, seconds: float) -> None:
        """Let every piece of traffic wait."""
        self._run(self._set(Mode.DELAY, delay_s=seconds))

    def heal(self) -> None:
        """Pass everything again."""
        self._run(self._set(Mode.PASS))

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_TIMEOUT_S)

    # --- in its own thread ---

    async def _set(self, mode: Mode, *, losses: int = 0, matching: bytes = b"", delay_s: float = 0.0) -> None:
        self._mode, self._losses, self._matching, self._delay_s = mode, losses, matching, delay_s
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        self._mode = Mode.REFUSE
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        if self._serving:  # so that nothing is under way any more when the caller goes on
            await asyncio.wait(self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counters.connections += 1
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_connection(*self._upstream)
            lost = asyncio.Event()
            ways = [
                asyncio.create_task(self._requests(reader, upstream, lost)),
                asyncio.create_task(self._answers(answers, writer, lost)),
            ]
            _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the system itself is down: the caller sees a cut connection, as it would without us
        finally:
            for end in (upstream, writer):
                if end is not None:
                    end.close()
                    with suppress(OSError):
                        await end.wait_closed()
            self._writers.discard(writer)

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._mode is Mode.LOST_ANSWER and self._losses and self._matching in chunk:
                self._losses -= 1
                self.counters.lost_answers += 1
                lost.set()
            await self._wait()
            upstream.write(chunk)
            await upstream.drain()

    async def _answers(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while chunk := await answers.read(_CHUNK_BYTES):
            if lost.is_set():
                return  # it was carried out, or it would not be answered; the caller will never know
            await self._wait()
            writer.write(chunk)
            await writer.drain()

    async def _wait(self) -> None:
        if self._mode is Mode.DELAY:
            await asyncio.sleep(self._delay_s)
