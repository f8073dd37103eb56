"""Tells the person at the terminal what is ready, what restarts, and where to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from callcluster_operator.local.display import Display, lines
from callcluster_operator.local.link import join_link
from callcluster_operator.local.runtime import Runtime
from callcluster_operator.objects import POD
from callcluster_operator.planning import names

RELAY_SECONDS = 10.0
"""How long the link waits for the relay, so that the first call has it."""


async def report(runtime: Runtime, write: Callable[[str], None], *, with_link: bool) -> None:
    """Print until cancelled. The link is printed once, and stands nowhere else."""
    changed = asyncio.Event()
    stop = runtime.store.subscribe(lambda change, obj: changed.set())
    display = Display(write)
    display.show(runtime.notes)
    loop = asyncio.get_running_loop()
    patience = loop.time() + RELAY_SECONDS
    try:
        while True:
            changed.clear()
            said = lines(await runtime.store.list(POD), runtime.places())
            display.show(said)
            relay_is_settled = names.TURN in said or loop.time() > patience
            if with_link and said.get(names.SIGNALING, "").startswith("ready") and relay_is_settled:
                link = join_link(runtime.port)
                write(f"\nOpen this link in two tabs:\n\n  {link}\n\nCtrl-C ends everything.\n")
                with_link = False
            try:
                await asyncio.wait_for(changed.wait(), 1)
            except TimeoutError:
                pass  # patience may be over
    finally:
        stop()
