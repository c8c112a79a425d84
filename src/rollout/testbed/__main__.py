"""``python -m rollout.testbed``: run the CRM until SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
from types import FrameType

import click
import uvicorn

from rollout.testbed.app import Settings, create_app, served

FREE_PORTS = range(20_000, 32_000)
"""Below the ports that systems hand to outgoing connections (32768 and up on Linux)."""


class _Server(uvicorn.Server):
    """Says where it is once it answers."""

    address = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            click.echo(self.address)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 stands for any free one of `FREE_PORTS`."""
    candidates = [port] if port else random.sample(FREE_PORTS, 50)
    for candidate in candidates:
        # asyncio sends at once (TCP_NODELAY) only where the socket says that it is TCP; an answer in two parts waits
        # 40 ms otherwise, for the caller to acknowledge the first.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
        except OSError as error:
            listener.close()
            problem = error
        else:
            return listener
    raise click.ClickException(f"cannot listen on {host} port {port or 'any'}: {problem.strerror}")


def _stop_with_stdin(server: uvicorn.Server) -> None:
    def wait() -> None:
        # Below Python's buffers: their lock, held by a daemon thread, would abort the interpreter's own shutdown.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        server.should_exit = True

    threading.Thread(target=wait, daemon=True).start()


@click.command()
@click.option("--database-url", envvar="ROLLOUT_TESTBED_DATABASE_URL", required=True, help="PostgreSQL of its own.")
@click.option("--password", envvar="ROLLOUT_TESTBED_PASSWORD", required=True, help="Of all made-up users.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65_535))
@click.option("--token-lifetime", default=3600, show_default=True, type=click.IntRange(min=1), help="Seconds.")
@click.option("--faults", is_flag=True, help="Let tests inject faults through /api/admin/faults.")
@click.option("--until-eof", is_flag=True, help="Stop when standard input closes, as when the parent dies.")
def main(
    database_url: str, password: str, host: str, port: int, token_lifetime: int, *, faults: bool, until_eof: bool
) -> None:
    """Run the testbed CRM and print its address. Prefer the environment for the password: arguments can be seen."""
    app = served(create_app(Settings(database_url, password, token_lifetime, faults)))
    listener = _listen(host, port)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_keep_alive=30, timeout_graceful_shutdown=5
    )
    server = _Server(config)
    server.address = f"http://{host}:{listener.getsockname()[1]}"
    # uvicorn raises the signal again once it has shut down; ending on SIGTERM is what was asked, so it is no failure.
    signal.signal(signal.SIGTERM, _ignore)
    if until_eof:
        _stop_with_stdin(server)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    sys.exit(0 if server.started else 3)


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing."""


if __name__ == "__main__":
    main()
