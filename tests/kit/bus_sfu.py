"""An SFU without media: it speaks on the bus as a real one does, and answers every offer."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from callcluster_common import redis_keys
from callcluster_common.bus.posts import FromSfu, ToSfu, pack, unpack
from callcluster_common.bus.redis import RedisBus
from callcluster_common.redis_keys import RoomKeys

from kit.bus_listener import Nobody

Frame = dict[str, Any]


class TinySfu(Nobody):
    """Serves one room at most. Use :func:`tiny_sfu`."""

    def __init__(self, url: str) -> None:
        self.bus = RedisBus(url, "sfu")
        self.pod = secrets.token_urlsafe(9)
        self.serves = True
        """Whether it takes a seat when it is called."""
        self.room: RoomKeys | None = None
        self.claim = ""
        self.wanted: list[str] = []
        self.asked: list[ToSfu] = []
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def on_wanted(self, room: str) -> None:
        self.wanted.append(room)
        if self.serves and self.room is None:
            task = asyncio.create_task(self._sit(redis_keys.named(room)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _sit(self, room: RoomKeys) -> None:
        claim = f"{self.pod}.{next(self._numbers)}"
        if await self.bus.take_seat(room, claim, f"{claim}0") is not None and self.room is None:
            self.room, self.claim = room, claim

    async def keep(self) -> bool:
        """Renew the seat; False if it is lost."""
        assert self.room is not None
        return not await self.bus.keep_seats([(self.room, self.claim)])

    async def take_again(self) -> bool:
        """Take the seat with the claim that it had."""
        assert self.room is not None
        return await self.bus.take_seat(self.room, self.claim, f"{self.claim}2") is not None

    async def leave(self) -> None:
        assert self.room is not None
        await self.bus.leave_seat(self.room, self.claim, f"{self.claim}1")
        self.room = None

    def on_return(self, wiped: bool) -> None:
        """What it does after a loss of data is up to the test."""

    def on_post(self, data: bytes) -> None:
        post = unpack(data)
        assert isinstance(post, ToSfu)
        self.asked.append(post)
        frame = json.loads(post.frame)
        if frame["t"] == "offer":
            route, seq = frame["d"]["route"], frame["d"]["seq"]
            data = {
                "sdp": "answer",
                "route": route,
                "seq": seq,
                "published": {"0": "t1"},
                "unserved": [],
            }
            self.say(post.from_claim, post.sid, {"t": "answer", "from": "sfu", "d": data})

    def say(self, socket_claim: str, sid: str, frame: Frame, claim: str = "") -> None:
        """Post a frame to a member's pod, with another ``claim`` than its own if one is given."""
        assert self.room is not None
        post = FromSfu(self.room.name, claim or self.claim, [(sid, json.dumps(frame))])
        self.bus.post(socket_claim.partition(".")[0], pack(post))


@asynccontextmanager
async def tiny_sfu(url: str, own_room: str = "") -> AsyncIterator[TinySfu]:
    """Start an SFU that listens for rooms that want one, or for its own room alone."""
    sfu = TinySfu(url)
    await sfu.bus.start(sfu.pod, sfu)
    await sfu.bus.listen_for_wanted(own_room)
    try:
        yield sfu
    finally:
        await sfu.bus.stop()
