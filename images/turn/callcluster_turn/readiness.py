"""Readiness as a file: what a probe by command reads, since the control port tells it to nobody else.

The port is on the node's own network and may be open to the world. The file holds one line: ``ok``, or what
is wrong.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

log = logging.getLogger(__name__)

FILE = "readiness"
"""Name below ``STATE_DIR``."""
OK = "ok"


class ReadinessFile:
    """Writes the file, each time that there is something new to say.

    Args:
        directory: private to this process.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self._told: str | None = None
        self._fault: str | None = None

    def tell(self, problem: str | None) -> None:
        """Say how the server is; a reader sees the old line or the new.

        Raises:
            OSError: the directory can't be written. The old line is gone where it can be taken away.
        """
        said = problem or OK
        if said == self._told:
            return
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(f"{said}\n")
            fresh.replace(self._file)
        except OSError:
            self._told = None
            # Without the file the probe fails, while an old "ok" would keep the pod ready.
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            raise
        self._told = said

    def keep_telling(self, problem: str | None) -> None:
        """As :meth:`tell`, for calling again and again: a fault is logged once, and so is its end."""
        fault: str | None = None
        try:
            self.tell(problem)
        except OSError as error:
            fault = error.strerror or type(error).__name__
        if fault == self._fault:
            return
        self._fault = fault
        if fault is None:
            log.info("the readiness file is written again")
        else:
            log.error("the readiness file can't be written: %s; mend STATE_DIR, it is tried again", fault)
