"""Runs ``python -m callcluster_sfu`` as a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from callcluster_common import keyset
from callcluster_common.keyset import Key, KeySet

from kit.signaling_server import SignalingProcess

NEEDS_PLANE = pytest.mark.skipif(
    importlib.util.find_spec("callcluster_plane") is None,
    reason="the packet plane is not built (requirements/plane says why)",
)
TOKEN = secrets.token_hex(16)


class SFUProcess(SignalingProcess):
    """A running SFU: its ports, its log, and ways to end it. Use :func:`sfu`."""

    module = "callcluster_sfu"

    def get(self, path: str, bearer: str | None = TOKEN, method: str = "GET") -> tuple[int, str]:
        """A route of the control port."""
        return super().get(path, bearer, method)

    def report(self) -> dict[str, Any]:
        status, text = self.get("/report")
        assert status == 200, text
        report: dict[str, Any] = json.loads(text)
        return report

    def serves(self, route: str) -> bool:
        """Whether a route is one of this SFU's."""
        serving = next(line for line in self.log if '"msg": "serving"' in line)
        return route.startswith(json.loads(serving)["id"] + ".")


@contextmanager
def sfu(redis_url: str, **settings: str) -> Iterator[SFUProcess]:
    """Start an SFU on ports of its own choice, and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="callcluster-sfu-") as directory:
        keys = Path(directory) / keyset.KEYS_FILE
        keys.write_bytes(keyset.encode(KeySet("c1", (Key("c1", TOKEN),))))
        process = SFUProcess(
            {
                "PATH": os.environ["PATH"],
                "REDIS_URL": redis_url,
                "SFU_HOST": "127.0.0.1",
                "SFU_PORT": "0",
                "SFU_ADDRESSES": "127.0.0.1",
                "CONTROL_HOST": "127.0.0.1",
                "CONTROL_PORT": "0",
                "CONTROL_KEYS_FILE": str(keys),
                "SOCKET_BUFFER_BYTES": "65536",
                **settings,
            }
        )
        try:
            process.await_serving()
            yield process
        finally:
            process.close()
