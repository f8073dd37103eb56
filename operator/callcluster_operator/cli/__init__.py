"""The command line: ``callcluster``."""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main() -> None:
    """Run a command. Ctrl-C ends it quietly, also while its modules are being loaded."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(INTERRUPTED))
    from callcluster_operator.cli.commands import callcluster

    try:
        callcluster()
    finally:
        # A loop that has ended leaves Python's own handler, which would print where it struck.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
