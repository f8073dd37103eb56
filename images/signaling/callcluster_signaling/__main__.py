"""``python -m callcluster_signaling``."""

from __future__ import annotations

import asyncio
import os
import sys

from callcluster_common import logs, open_files
from callcluster_common.environment import Environment, SettingError

from callcluster_signaling import settings
from callcluster_signaling.server import PortError, run


def main() -> int:
    """Run the process; 0 after a drain, 2 for settings that can't be used."""
    try:
        chosen = settings.read(Environment(os.environ))
    except SettingError as error:
        print(f"callcluster-signaling: {error}", file=sys.stderr)
        return 2
    logs.configure(chosen.log_level)
    open_files.allow_many()
    try:
        return asyncio.run(run(chosen))
    except PortError as error:
        print(f"callcluster-signaling: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
