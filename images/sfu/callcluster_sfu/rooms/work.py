"""Background work, and what becomes of mistakes of ours."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from callcluster_sfu.metrics import Counts

log = logging.getLogger(__name__)


class Work:
    """Tasks of this process that nobody awaits."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._tasks

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def mistake(self, error: BaseException) -> None:
        """Count and log an error that should not be.

        Its message may quote what a member wrote, and is not logged: only its type, and where it was.
        """
        self._counts.failures += 1
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        where = [f"{Path(found.filename).name}:{found.lineno}" for found in frame]
        fields = {"error": type(error).__name__, "where": "".join(where)}
        log.error("a mistake in this program", extra={"fields": fields})

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.mistake(error)
