"""Runs ``python -m callcluster_sfu`` as a process of its own."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kit.signaling_server import SignalingProcess

NEEDS_PLANE = pytest.mark.skipif(
    importlib.util.find_spec("callcluster_plane") is None,
    reason="the packet plane is not built (requirements/plane says why)",
)


class SFUProcess(SignalingProcess):
    """A running SFU: its ports, its log, and ways to end it. Use :func:`sfu`."""

    module = "callcluster_sfu"


@contextmanager
def sfu(redis_url: str, **settings: str) -> Iterator[SFUProcess]:
    """Start an SFU on ports of its own choice, and end it afterwards."""
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "SFU_HOST": "127.0.0.1",
        "SFU_PORT": "0",
        "SFU_ADDRESSES": "127.0.0.1",
        "CONTROL_HOST": "127.0.0.1",
        "CONTROL_PORT": "0",
        "SOCKET_BUFFER_BYTES": "65536",
        **settings,
    }
    process = SFUProcess(environment)
    try:
        process.await_serving()
        yield process
    finally:
        process.close()
