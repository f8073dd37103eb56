"""Runs ``python -m callcluster_signaling`` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

SECRET = "integration-secret-0123456789-abcdefghij"


class SignalingProcess:
    """A running server: its ports, its log, and ways to end it. Use :func:`signaling`."""

    module = "callcluster_signaling"

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = self.control = 0
        self.log: list[str] = []
        self._serving = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            if '"msg": "serving"' in line:
                found = json.loads(line)
                self.port, self.control = found["port"], found["control"]
                self._serving.set()
        self._serving.set()

    def await_serving(self, within: float = 60.0) -> None:
        assert self._serving.wait(within), "the server does not serve"
        assert self.port, f"the server ended: {self.text}"

    @property
    def text(self) -> str:
        return "".join(self.log)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def get(self, path: str, bearer: str | None = None, method: str = "GET") -> tuple[int, str]:
        """A route of the control port."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control}{path}", headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """One number of /metrics; labels included in the name."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        raise AssertionError(f"no metric {name}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, within: float = 60.0) -> int:
        return self.process.wait(within)

    def running(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        if self.running():
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def signaling(redis_url: str = "memory://", **settings: str) -> Iterator[SignalingProcess]:
    """Start a server on ports of its own choice, and end it afterwards."""
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": "0",
        "CONTROL_PORT": "0",
        "CONTROL_HOST": "127.0.0.1",
        "REDIS_URL": redis_url,
        "JWT_SECRET": SECRET,
        "ROOM_SALT": "salt-of-the-tests",
        **settings,
    }
    server = SignalingProcess(environment)
    try:
        server.await_serving()
        yield server
    finally:
        server.close()
