"""Reports are served on the loopback, below a secret path, and nothing else is."""

from __future__ import annotations

import threading
from functools import partial
from http.server import ThreadingHTTPServer

import httpx
import pytest
from report_server import ReportHandler

TOKEN = "t" * 32


@pytest.fixture
def base(tmp_path):
    reports = tmp_path / "reports"
    (reports / "assess").mkdir(parents=True)
    (reports / "assess" / "评估.html").write_text("<h1>评估</h1>", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret")
    (reports / "link.txt").symlink_to(tmp_path / "secret.txt")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(ReportHandler, token=TOKEN, directory=str(reports))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def get(url):
    with httpx.Client(trust_env=False) as client:
        return client.get(url)


def test_a_report_opens_below_the_token(base):
    response = get(f"{base}/{TOKEN}/assess/评估.html")
    assert response.status_code == 200
    assert "评估" in response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/assess/评估.html",
        f"/{'x' * 32}/assess/评估.html",
        f"/{TOKEN}",
        f"/{TOKEN}/",
        f"/{TOKEN}/assess/",
        f"/{TOKEN}/missing.html",
        f"/{TOKEN}/%2e%2e/secret.txt",
        f"/{TOKEN}/assess/..%2f..%2fsecret.txt",
        f"/{TOKEN}/link.txt",
        f"/%2e%2e/{TOKEN}/assess/评估.html",
    ],
)
def test_everything_else_is_not_found(base, path):
    response = get(base + path)
    assert response.status_code == 404
    assert "secret" not in response.text
