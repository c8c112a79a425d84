"""Serves one folder of reports over loopback HTTP, read-only, below a secret path.

``python ops/report_server.py FOLDER PORT``; the token comes from ``ROLLOUT_REPORTS_TOKEN``, so that no process list
shows it. Every other path answers 404, folders are not listed, and no page tells others where it was opened from.
"""

from __future__ import annotations

import hmac
import os
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

MIN_TOKEN = 16


class ReportHandler(SimpleHTTPRequestHandler):
    """GET and HEAD of files below ``/TOKEN/``."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".html": "text/html; charset=utf-8",
        ".md": "text/plain; charset=utf-8",
        ".json": "application/json; charset=utf-8",
    }

    def __init__(self, *args: object, token: str, directory: str) -> None:
        self._token = token
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def send_head(self):  # noqa: ANN201 - the base class's own type is private
        """Take the token off the path, or answer 404."""
        token, _, rest = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        root = Path(self.directory).resolve()
        if not (root / rest).resolve().is_relative_to(root):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.path = urlsplit(self.path).path.lstrip("/").partition("/")[2].join(("/", ""))
        return super().send_head()

    def list_directory(self, path: object) -> None:  # noqa: ARG002 - the base class's signature
        """Folders are not listed."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Keep the token out of other pages' logs, and reports out of caches."""
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """Log no path: it holds the token."""
        self.log_message("%s %s", self.command, getattr(code, "value", code))


def main(folder: str, port: str) -> None:
    """Serve until the process is ended."""
    token = os.environ.get("ROLLOUT_REPORTS_TOKEN", "")
    if len(token) < MIN_TOKEN:
        sys.exit(f"ROLLOUT_REPORTS_TOKEN needs at least {MIN_TOKEN} characters")
    handler = partial(ReportHandler, token=token, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", int(port)), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:3])
