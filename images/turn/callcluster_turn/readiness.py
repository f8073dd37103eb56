"""Readiness as a file: what a probe by command reads, since the control port tells it to nobody else.

The port is on the node's own network and may be open to the world. The file holds one line: ``ok``, or what
is wrong.
"""

from __future__ import annotations

from pathlib import Path

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

    def tell(self, problem: str | None) -> None:
        """Say how the server is; a reader sees the old line or the new.

        Raises:
            OSError: the directory can't be written.
        """
        said = problem or OK
        if said == self._told:
            return
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{said}\n")
        fresh.replace(self._file)
        self._told = said
