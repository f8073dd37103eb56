"""The Redis scripts and the ledgers in memory tell the same rules: whatever happens, they agree."""

import asyncio
import itertools
import operator
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import (
    Bus,
    Head,
    Person,
    RefusedError,
    RoomState,
    Ticket,
    make_line,
    split_line,
)
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.bus.redis import RedisBus
from callcluster_common.redis_keys import RoomKeys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.bus_seats import lapse_in_memory, lapse_in_redis
from kit.eventually import eventually
from kit.redis_server import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.timeout(240)]

SIDS = [letter * 16 for letter in "abc"]
SID = st.sampled_from(SIDS)
CLAIM = st.sampled_from(["pod.1", "pod.2"])
SFU_CLAIM = st.sampled_from(["sfu1.1", "sfu2.1"])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), SID, CLAIM, st.booleans(), st.sampled_from([1, 2, 9])),
        st.tuples(
            st.just("publish"),
            SID,
            CLAIM,
            st.sampled_from([b"", b"L1", b"L0", b'M{"sid":"x"}']),
            st.sampled_from(["", *SIDS]),
        ),
        st.tuples(st.just("block"), SID, CLAIM, st.booleans(), st.sampled_from(["audio", "video"]), SID),
        st.tuples(st.just("state")),
        st.tuples(st.just("stale"), SID, CLAIM),
        st.tuples(st.just("attach"), SID, CLAIM, st.integers(0, 3), st.integers(0, 12), st.booleans()),
        st.tuples(st.just("detach"), SID, CLAIM),
        st.tuples(st.just("remove"), SID, st.sampled_from(["", "pod.1"]), st.sampled_from([0, 60_000])),
        st.tuples(st.just("renew"), SID, CLAIM),
        st.tuples(st.just("end")),
        st.tuples(st.sampled_from(["take_seat", "keep_seat", "leave_seat"]), SFU_CLAIM),
        st.tuples(st.sampled_from(["clear_seat", "lapse"])),
        st.tuples(st.just("history"), st.integers(0, 12)),
    ),
    max_size=14,
)


class Recorder:
    """Keeps what a bus pushes."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, int, bytes]] = []

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        self.entries.append((room, epoch, off, line))

    def on_wanted(self, room: str) -> None:
        raise AssertionError(room)

    def on_post(self, data: bytes) -> None:
        raise AssertionError(data)

    def on_stall(self, room: str, line: bytes) -> None:
        raise AssertionError(line)

    def on_return(self, wiped: bool) -> None:
        assert not wiped


class Script:
    """Runs operations on one bus, and notes what came of them."""

    def __init__(self, bus: Bus, room: str, lapse: Callable[[Bus, RoomKeys], None]) -> None:
        self.bus = bus
        self.keys = redis_keys.room(room)
        self._end_lease = lapse
        self.recorder = Recorder()
        self._epoch = ""
        self._numbers = itertools.count(1)

    def _line(self, sender: str, asked: bool = True, to: str = "") -> bytes:
        number = next(self._numbers)
        return make_line(Head(f"pod.{number}", sender, to, f"q{number}" if asked else ""), b'{"t":"ev"}')

    @staticmethod
    def _plain(state: RoomState) -> Any:
        return state.epoch, state.off, state.locked, sorted(state.occupants), state.seat

    async def run(self, operation: tuple[Any, ...]) -> Any:
        try:
            return await getattr(self, f"_{operation[0]}")(*operation[1:])
        except RefusedError as refusal:
            return refusal.code

    async def _join(self, sid: str, claim: str, moderator: bool, capacity: int) -> Any:
        person = Person(f"user-{sid[:1]}", f"page-{sid[:1]}", f"jti-{sid[:1]}")
        number = next(self._numbers)
        ticket = Ticket(
            sid,
            claim,
            person,
            b'{"sid":"%b"}' % sid.encode(),
            self._line(sid),
            capacity,
            moderator,
            f"e{number}",
            "pod.0",
            60_000,
        )
        state = await self.bus.join(self.keys, ticket)
        self._epoch = state.epoch
        return self._plain(state)

    async def _publish(
        self, sid: str, claim: str, change: bytes, to: str = "", epoch: str | None = None
    ) -> Any:
        line = self._line(sid, to=to)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        epoch = self._epoch if epoch is None else epoch
        self.bus.publish(self.keys, epoch, claim, split_line(line)[0], line, change, done.set_result)
        return await done

    async def _block(self, sid: str, claim: str, on: bool, media: str, whose: str) -> Any:
        return await self._publish(sid, claim, f"B{on:d}{media} {whose}".encode())

    async def _state(self) -> Any:
        state = await self.bus.state(self.keys)
        return None if state is None else self._plain(state)

    async def _stale(self, sid: str, claim: str) -> Any:
        return await self._publish(sid, claim, b"", epoch="long-ago")

    async def _attach(self, sid: str, claim: str, attempt: int, off: int, same: bool) -> Any:
        epoch = self._epoch if same else "long-ago"
        back = await self.bus.attach(self.keys, sid, claim, attempt, self._line(sid, False), epoch, off)
        if back is None:
            return None
        return self._plain(back.state), *back[1:]

    async def _detach(self, sid: str, claim: str) -> Any:
        await self.bus.detach(self.keys, sid, claim, self._line(sid, False), 60_000)

    async def _remove(self, sid: str, claim: str, ban_ms: int) -> Any:
        return await self.bus.remove(self.keys, sid, claim, self._line("m" * 16), ban_ms)

    async def _renew(self, sid: str, claim: str) -> Any:
        return await self.bus.renew(self.keys, [(sid, claim)], "pod.0", 60_000)

    async def _end(self) -> Any:
        return await self.bus.end(self.keys, self._line(""))

    async def _take_seat(self, claim: str) -> Any:
        state = await self.bus.take_seat(self.keys, claim, f"{claim}{next(self._numbers)}")
        return None if state is None else self._plain(state)

    async def _keep_seat(self, claim: str) -> Any:
        return await self.bus.keep_seats([(self.keys, claim)])

    async def _leave_seat(self, claim: str) -> Any:
        await self.bus.leave_seat(self.keys, claim, f"{claim}{next(self._numbers)}")

    async def _clear_seat(self) -> Any:
        await self.bus.clear_seats([self.keys], f"pod.{next(self._numbers)}")

    async def _lapse(self) -> Any:
        self._end_lease(self.bus, self.keys)

    async def _history(self, after: int) -> Any:
        return await self.bus.history(self.keys, after)


async def _compare(server: RedisServer, operations: list[tuple[Any, ...]]) -> None:
    room = f"room-{secrets.token_hex(8)}"
    scripts = [
        Script(MemoryBus(), room, lapse_in_memory),
        Script(RedisBus(server.url), room, partial(lapse_in_redis, server)),
    ]
    try:
        for script in scripts:
            await script.bus.start("pod", script.recorder)
            await script.bus.subscribe(script.keys)
        for operation in operations:
            memory, redis = [await script.run(operation) for script in scripts]
            assert memory == redis, operation
        pushed, arrived = [script.recorder.entries for script in scripts]
        await eventually(lambda: len(arrived) >= len(pushed))
        assert arrived == pushed
        assert [off for *_, off, _ in pushed] == list(range(1, len(pushed) + 1))
    finally:
        for script in scripts:
            await script.bus.stop()


TWO_MEMBERS = [("join", SIDS[0], "pod.1", True, 9), ("join", SIDS[1], "pod.2", False, 9)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.builds(operator.add, st.sampled_from([[], TWO_MEMBERS]), OPERATIONS))
def test_both_buses_agree_on_whatever_happens_in_a_room(
    redis_server: RedisServer, operations: list[tuple[Any, ...]]
) -> None:
    asyncio.run(_compare(redis_server, operations))
