"""Logs what Redis refuses: each cause at once, then by its count each minute, whoever asked."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
MAX_CAUSES = 32
"""Kept apart; further ones count as one."""
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'"


class Refusals:
    """Counts refusals by cause."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def note(self, problem: str, now: float) -> None:
        """Redis answered by the error ``problem``."""
        cause = cause_of(problem)
        if cause not in self._seen and len(self._seen) >= MAX_CAUSES:
            cause = "other"
        if cause in self._seen:
            since, count = self._seen[cause]
            self._seen[cause] = (since, count + 1)
        else:
            self._seen[cause] = (now, 0)
            _tell(cause, 1)

    def tick(self, now: float) -> None:
        """Time passed: tell what came since the last word, and forget what has stopped."""
        for cause, (since, count) in list(self._seen.items()):
            if now - since < EVERY_SECONDS:
                continue
            if count:
                self._seen[cause] = (now, 0)
                _tell(cause, count)
            else:
                del self._seen[cause]


def cause_of(problem: str) -> str:
    """An error without what differs from command to command: its arguments, the script and the line."""
    if OUT_OF_MEMORY in problem:
        return OUT_OF_MEMORY
    return problem.partition(" script: ")[0].partition(", with args")[0][:200]


def _tell(cause: str, count: int) -> None:
    log.warning("Redis refuses commands", extra={"fields": {"problem": cause, "count": count}})
