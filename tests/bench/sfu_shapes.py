"""Rooms to measure: who sends what to whom, and how they come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.sfu_load import Load, Pace
from sfu_contestant import Contestant, Published


@dataclass(frozen=True)
class Shape:
    """One room."""

    name: str
    publishers: int
    kinds: tuple[str, ...]
    """Of each publisher's tracks; those from ``live`` on send a key frame and fall silent."""
    listeners: int
    """Members who only receive."""
    paces: dict[str, Pace]
    """By kind; peer and section are filled in."""
    live: int = 1
    meeting: bool = False
    """Publishers receive as well."""
    counts_only: bool = False
    """All listeners but one count without opening, and none gives transport-wide feedback: for loads that
    clients, or a link's estimate, could not follow."""


def video(rate: float, **changes: Any) -> Pace:
    """Frames of three packets of 1,100 bytes."""
    return replace(Pace(0, "", size=1100, packets=3, rate=rate), **changes)


AUDIO = Pace(0, "", size=100, packets=1, rate=50.0)
IDLE = ("video",) * 18
SHAPES = {
    "video": Shape("1 to 10 video", 1, ("video", *IDLE), 10, {"video": video(1000.0)}),
    "frames": Shape(
        "1 to 10 video, frame after frame", 1, ("video", *IDLE), 10,
        {"video": video(0.0, window=3)}, counts_only=True,
    ),
    "saturated": Shape(
        "1 to 10 video, saturated", 1, ("video",), 10,
        {"video": video(0.0, packets=8, window=64)}, counts_only=True,
    ),
    "audio": Shape("10 to 30 audio", 10, ("audio",), 30, {"audio": AUDIO}),
    "meeting": Shape(
        "meeting of 8, audio and video", 8, ("audio", "video"), 0,
        {"audio": AUDIO, "video": video(30.0)}, live=2, meeting=True,
    ),
}  # fmt: skip


def one_to(listeners: int) -> Shape:
    """A usual camera, 90 packets a second, to many."""
    return Shape(f"1 to {listeners} video", 1, ("video",), listeners, {"video": video(30.0)})


async def settle(load: Load, sfu: Contestant, shape: Shape) -> list[Published]:
    """Connect everyone, until media has come on every section; returns what is to be sent."""
    published: list[Published] = []
    for number in range(shape.publishers):
        published += (await sfu.publish(load, f"p{number}", shape.kinds))[: shape.live]
    await load.connected({one.peer for one in published})
    tracks = len(shape.kinds)
    expected: dict[int, int] = {}
    for number in range(shape.publishers if shape.meeting else 0):
        peer = await sfu.subscribe(load, f"p{number}")
        expected[peer] = tracks * (shape.publishers - 1)
    for number in range(shape.listeners):
        peer = await sfu.subscribe(
            load,
            f"s{number}",
            counts_only=shape.counts_only and number > 0,
            feedback=not shape.counts_only,
        )
        expected[peer] = tracks * shape.publishers
    await load.connected(expected)
    await load.pace(paces(shape, published))
    await load.flowing(expected)
    return published


def paces(shape: Shape, published: Sequence[Published]) -> list[Pace]:
    """The load on what was published."""
    return [replace(shape.paces[one.kind], peer=one.peer, mid=one.mid) for one in published]
