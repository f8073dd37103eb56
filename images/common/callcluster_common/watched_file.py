"""Follows a small file that somebody else replaces: a kubelet's projection, or the local runtime's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

INTERVAL_SECONDS = 1.0
"""Reading a few kilobytes a second costs nothing; inotify misses the symlink swaps of projected volumes."""


async def contents(path: Path, interval: float = INTERVAL_SECONDS) -> AsyncIterator[bytes]:
    """Yield the file's bytes now and after each change; wait while it can't be read."""
    last: bytes | None = None
    while True:
        try:
            # Projected files are a few kilobytes in memory: cheaper read here than on a thread.
            data = path.read_bytes()  # noqa: ASYNC240
        except OSError:
            data = None
        if data is not None and data != last:
            last = data
            yield data
        await asyncio.sleep(interval)
