"""Sends connections to other servers, spread over time so that those are not overrun."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TypeVar

from callcluster_common.messages import server
from callcluster_common.messages.types import CloseCode

from callcluster_signaling.answers import encode
from callcluster_signaling.links import Link
from callcluster_signaling.pod import Pod

MIN_PER_SECOND = 20.0
"""A server with few connections needs no long drain."""
NOTICE_SECONDS = 5.0
"""From ``goaway`` to the close of a socket whose client did not move."""

T = TypeVar("T")


def schedule(connections: Sequence[T], spread: float, chance: random.Random) -> list[tuple[float, T]]:
    """When to send each connection away, in seconds from now, ascending, uniform over the spread."""
    span = min(spread, len(connections) / MIN_PER_SECOND)
    return sorted(((chance.uniform(0.0, span), link) for link in connections), key=lambda slot: slot[0])


async def run(pod: Pod, spread: float) -> None:
    """Send ``goaway`` to every connection in its slot, and close those that stay."""
    start = pod.now()
    frame = encode(
        server.Goaway(
            d=server.GoawayData(reason="drain", by_ms=int(NOTICE_SECONDS * 1000), reconnect_after_ms=0)
        )
    )
    slots = schedule(list(pod.open_links), spread, random.SystemRandom())
    for delay, link in slots:
        await asyncio.sleep(max(0.0, start + delay - pod.now()))
        if link in pod.open_links:
            pod.counts.goaways += 1
            link.send(frame)
            asyncio.get_running_loop().call_later(NOTICE_SECONDS, _close, pod, link)
    deadline = pod.now() + NOTICE_SECONDS + 1.0
    while pod.open_links and pod.now() < deadline:
        await asyncio.sleep(0.05)


def _close(pod: Pod, link: Link) -> None:
    pod.perform(link, link.session.close(CloseCode.DRAIN, "this server drains"))
