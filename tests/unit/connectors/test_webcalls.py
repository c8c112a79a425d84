"""What answers of JSON services become: half of a cut emoji must not stop a sync for ever."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from rollout.connectors.webcalls import WebCalls


class _Answers(BaseHTTPRequestHandler):
    body = b"{}"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def calls() -> Iterator[WebCalls]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    calls = WebCalls("wecom", url, timeout_s=5, sleep=lambda _: None, start_hint="-")
    yield calls
    calls.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"text": "\ud83d\ude00"}', "😀"),
        (rb'{"text": "cut \ud83d"}', "cut \ufffd"),
        (rb'{"text": "\ude00 \ud83d\ude00 \uD83D!"}', "\ufffd 😀 \ufffd!"),
        ('{"text": "你好 😀"}'.encode(), "你好 😀"),
        (rb'{"text": "C:\\ud83d"}', r"C:\ud83d"),
    ],
)
def test_every_text_of_an_answer_can_be_stored(calls, monkeypatch, body, text):
    monkeypatch.setattr(_Answers, "body", body)
    answer = calls.read("GET", "/")
    assert answer == {"text": text}
    assert answer["text"].encode()
