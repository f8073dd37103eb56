"""A workload for tests of the local node: answers health checks on a port and does what it is told.

It is run as a program. Environment: ``CONTROL_PORT``; ``READY_FILE``: ready only while it exists;
``STUBBORN``: ignore SIGTERM. ``GET /env``, ``/args`` and ``/file?<path>`` show what it sees, ``/exit``
ends it, ``/child`` starts a child in the same process group and answers its id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/exit":
            print("told to end", flush=True)
            os._exit(3)
        if path == "/env":
            self._answer(200, json.dumps(dict(os.environ)))
        elif path == "/args":
            self._answer(200, json.dumps(sys.argv[1:]))
        elif path == "/file":
            file = Path(query)
            self._answer(200, file.read_text()) if file.exists() else self._answer(404, "")
        elif path == "/child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            self._answer(200, str(child.pid))
        elif path == "/readyz" and "READY_FILE" in os.environ:
            ready = Path(os.environ["READY_FILE"]).exists()
            self._answer(200 if ready else 503, "ok" if ready else "not yet")
        else:
            self._answer(200, "ok")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    if "STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTROL_PORT"])), Handler).serve_forever()
