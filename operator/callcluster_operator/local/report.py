"""Tells the person at the terminal what is ready, what restarts, and where to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from callcluster_operator.local.access import needs_token
from callcluster_operator.local.display import Display
from callcluster_operator.local.link import join_link, new_room
from callcluster_operator.local.runtime import Runtime
from callcluster_operator.planning import names

RELAY_SECONDS = 10.0
"""How long the link waits for the relay, so that the first call has it."""


def invitation(runtime: Runtime) -> str:
    """The link to a new room, and how to use it."""
    room = new_room()
    text = f"\nOpen this link in two tabs:\n\n  {join_link(runtime.url, room)}\n"
    if needs_token(runtime.spec.callcluster):
        token = f"callcluster token --port {runtime.port} --room {room} --user NAME"
        text += f"\nGuests are denied, so everybody adds a token of their own: &t=$({token})\n"
    return text + "\nCtrl-C ends everything.\n"


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
            said = await runtime.standing()
            display.show(said)
            relay_is_settled = names.TURN in said or loop.time() > patience
            if with_link and said.get(names.SIGNALING, "").startswith("ready") and relay_is_settled:
                write(invitation(runtime))
                with_link = False
            try:
                async with asyncio.timeout(1):
                    await changed.wait()
            except TimeoutError:
                pass  # patience may be over
    finally:
        stop()
