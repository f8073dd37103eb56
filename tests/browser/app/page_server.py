"""Serves the page as the signaling server does, without the signaling: for tests of the page by itself."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from callcluster_signaling.site import SECURITY_HEADERS

HERE = Path(__file__).resolve().parent
WEB = HERE.parents[2] / "images" / "signaling" / "web"


class Handler(SimpleHTTPRequestHandler):
    """The web client's files; with a scripted call in place of the SDK's."""

    def translate_path(self, path: str) -> str:
        path = path.split("?")[0]
        if path == "/sdk/call.js":
            return str(HERE / "scripted_call.js")
        return str(WEB / ("app/index.html" if path == "/" else path.lstrip("/")))

    def end_headers(self) -> None:
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a failing test shows what the page itself reports."""


@contextlib.contextmanager
def scripted_page() -> Iterator[str]:
    """The origin of a page whose calls follow a script."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(WEB)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
