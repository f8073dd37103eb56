"""A process that outlives ``callcluster up`` for a moment and leaves nothing of it behind.

``callcluster up`` may be killed with -9 and can't tidy up then. This program reads process groups from a
pipe whose other end only ``callcluster up`` holds; when the pipe ends, it kills what is still listed and
removes the run's directory, which holds keys. It is started as a script, without the packages of the
operator, so that it is small and quick to start.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys


def watch(directory: str) -> None:
    """Read ``+<group>`` and ``-<group>`` lines until the pipe ends, then kill and remove what is left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change, group = line[0], int(line[1:])
        (groups.add if change == "+" else groups.discard)(group)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # it ended by itself
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    watch(sys.argv[1])
