"""The fault proxy does to connections what it says, counts them, and heals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from rollout.errors import UnsupportedOperation
from rollout.integrate.proxy import FaultProxy


@pytest.fixture
def upstream() -> Iterator[tuple[str, list[bytes]]]:
    """A server that remembers what it carried out."""
    done: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            done.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api", done
        server.shutdown()
        thread.join()


def post(client: httpx.Client, url: str, body: bytes = b"x") -> str:
    return client.post(url, content=body).text


def test_it_passes_refuses_and_heals_at_the_same_address(upstream):
    url, done = upstream
    with FaultProxy(url) as proxy, httpx.Client(timeout=5, trust_env=False) as client:
        assert proxy.url.endswith("/api")
        assert post(client, proxy.url) == "ok"
        address = proxy.url
        proxy.refuse()
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            post(client, proxy.url)  # over the connection that was kept, which is cut
        with pytest.raises(httpx.ConnectError):
            post(client, proxy.url)
        proxy.heal()
        assert proxy.url == address
        assert post(client, proxy.url) == "ok"
        assert len(done) == 2
        assert proxy.counters.connections == 2


def test_a_lost_answer_is_carried_out_and_only_what_matches_is_lost(upstream):
    url, done = upstream
    with FaultProxy(url) as proxy, httpx.Client(timeout=5, trust_env=False) as client:
        proxy.lose_answers(1, matching=b"write")
        assert post(client, proxy.url, b"read") == "ok"
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            post(client, proxy.url, b"write")
        assert done == [b"read", b"write"]
        assert post(client, proxy.url, b"write again") == "ok"
        assert proxy.counters.lost_answers == 1


def test_a_delay_is_longer_than_the_caller_waits(upstream):
    url, _ = upstream
    with FaultProxy(url) as proxy, httpx.Client(timeout=0.2, trust_env=False) as client:
        proxy.delay(1.0)
        with pytest.raises(httpx.ReadTimeout):
            post(client, proxy.url)
        proxy.heal()
        assert post(client, proxy.url) == "ok"


def test_a_system_that_is_down_looks_down_through_it_too():
    with FaultProxy("http://127.0.0.1:9") as proxy, httpx.Client(timeout=5, trust_env=False) as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            post(client, proxy.url)
        proxy.refuse()
        proxy.refuse()  # twice does no harm


def test_what_is_encrypted_cannot_be_stood_in_front_of():
    with pytest.raises(UnsupportedOperation, match="https"):
        FaultProxy("https://qyapi.weixin.qq.com")
