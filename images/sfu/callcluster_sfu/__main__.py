"""``python -m callcluster_sfu``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from callcluster_common import logs
from callcluster_common.environment import Environment, SettingError

from callcluster_sfu import settings

EXIT_SETTINGS = 2
EXIT_NO_PLANE = 3


def main() -> int:
    """Run the process; 0 after a drain, otherwise one of the codes above and one line on standard error."""
    # The first process of a container ignores a signal without a handler: until there is one, end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        chosen = settings.read(Environment(os.environ))
    except SettingError as error:
        return _fail(str(error), EXIT_SETTINGS)
    logs.configure(chosen.log_level)
    try:
        from callcluster_sfu import server
    except ModuleNotFoundError as error:
        if error.name != "callcluster_plane":
            raise
        return _fail("the packet plane is not installed; build it by: requirements/plane", EXIT_NO_PLANE)
    try:
        return asyncio.run(server.run(chosen))
    except (server.StartError, SettingError) as error:
        return _fail(str(error), EXIT_SETTINGS)


def _fail(message: str, status: int) -> int:
    print(f"callcluster-sfu: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
