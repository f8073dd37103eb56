"""Starts the agent: ``python -m callcluster_turn``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from callcluster_common import logs
from callcluster_common.environment import SettingError

from callcluster_turn import config, coturn, settings
from callcluster_turn.agent import Agent
from callcluster_turn.config import UnsupportedVersionError
from callcluster_turn.coturn import CoturnMissingError
from callcluster_turn.supervisor import FatalError

EXIT_SETTINGS = 2
EXIT_COTURN = 3
EXIT_REFUSED = 4


def main(variables: Mapping[str, str]) -> int:
    """Run until the end, and return the exit status; each failure is one line on standard error."""
    # The first process of a container ignores a signal without a handler: until the agent has its own, end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        chosen = settings.read(variables)
        logs.configure(chosen.log_level)
        # Keys, certificate and configuration stand here, for this user's eyes only.
        os.umask(0o077)
        chosen.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except SettingError as error:
        return _fail(str(error), EXIT_SETTINGS)
    except OSError as error:
        return _fail(f"STATE_DIR can't be made: {error}", EXIT_SETTINGS)
    try:
        path, version = coturn.find(chosen.turnserver)
        profile = config.profile_of(version)
        logging.getLogger(__name__).info(
            "starting", extra={"fields": {"pod": chosen.pod_name, "coturn": version}}
        )
        asyncio.run(Agent(chosen, path, version, profile).run())
    except (CoturnMissingError, UnsupportedVersionError) as error:
        return _fail(str(error), EXIT_COTURN)
    except FatalError as error:
        return _fail(str(error), EXIT_REFUSED)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"callcluster_turn: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(os.environ))
