"""Keeps a prepared connection to Redis: scripts loaded, channels subscribed, delivery proved by probes."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

from callcluster_common import redis_keys
from callcluster_common.bus import UnavailableError
from callcluster_common.bus.refusals import Refusals
from callcluster_common.bus.wire import Wire, WireError, connect

log = logging.getLogger(__name__)

ROOM_SCRIPTS = (
    "publish",
    "join",
    "attach",
    "detach",
    "remove",
    "end",
    "renew",
    "history",
    "state",
    "restore",
    "take_seat",
    "keep_seat",
    "leave_seat",
    "clear_seat",
)
OTHER_SCRIPTS = ("put_session", "take_session", "heartbeat")

TICK_SECONDS = 0.25
BEAT_SECONDS = 1.0
BEAT_TTL_MS = 15_000
DEAF_SECONDS = 6.0
"""Without a probe for so long, pub/sub does not deliver, whatever the connection says."""
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
"""How long a request waits for a connection that is being made."""
WIPE_SECONDS = 10.0
"""For so long after a loss of data a missing session may still be recorded again by its pod."""
PROBE = b"probe"


def scripts() -> dict[str, str]:
    """All scripts by name."""
    folder = resources.files("callcluster_common.bus") / "lua"
    prelude = (folder / "prelude.lua").read_text()
    found = {name: prelude + (folder / f"{name}.lua").read_text() for name in ROOM_SCRIPTS}
    return found | {name: (folder / f"{name}.lua").read_text() for name in OTHER_SCRIPTS}


class RedisConnection:
    """Connects, and connects anew, until it is stopped."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        on_push: Callable[[bytes, bytes], None],
        channels: Callable[[], list[str]],
        before_use: Callable[[Wire], Awaitable[None]],
        on_use: Callable[[Wire], None],
        on_return: Callable[[bool], None],
        on_tick: Callable[[float], None],
    ) -> None:
        """Begin with :meth:`start`.

        Args:
            url: of Redis.
            name: what this pod is: stands before its id in Redis's list of clients.
            on_push: gets channel and payload of pushed messages, probes aside.
            channels: what to subscribe to.
            before_use: looks into a new connection before anybody else does; raises :class:`WireError`.
            on_use: called when a connection can be used, before anybody who waits for it.
            on_return: called after that, and when data was lost (``True``).
            on_tick: called four times a second with the monotonic time.
        """
        self._url = url
        self._name = name
        self._on_push = on_push
        self._channels = channels
        self._before_use = before_use
        self._on_use = on_use
        self._on_return = on_return
        self._on_tick = on_tick
        self._texts = scripts()
        self.shas: dict[str, bytes] = {}
        """Digests of the scripts, once there was a connection."""
        self.wire: Wire | None = None
        """The connection, while there is one."""
        self.ready = asyncio.Event()
        self.problem: str | None = "Redis has not been reached yet"
        """What keeps this pod alone from Redis."""
        self.broken = False
        """Whether nothing looks after the connection any more."""
        self.probe_seconds = 0.0
        self.refusals = Refusals()
        self._pod = ""
        self._inbox = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._probe_sent = 0.0
        self._probe_heard = 0.0
        self._beaten = False
        self._wiped_at = -WIPE_SECONDS

    async def start(self, pod: str) -> None:
        """Connect as ``pod``; if that takes long, return and go on."""
        self._pod = pod
        self._inbox = redis_keys.pod_channel(pod).encode()
        self._tasks = [asyncio.create_task(self._stay_connected()), asyncio.create_task(self._tend())]
        for task in self._tasks:
            task.add_done_callback(self._stopped)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.ready.wait()
        except TimeoutError:
            log.warning("starting without Redis")

    def _stopped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("looking after Redis failed", exc_info=error)
            self.broken = True

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.wire is not None:
            self.wire.abort()

    @property
    def wiped_lately(self) -> bool:
        """Whether data was lost so recently that other pods may still be putting theirs back."""
        return time.monotonic() - self._wiped_at < WIPE_SECONDS

    async def ask(self, *command: bytes | str | int) -> Any:
        """Run a command.

        Raises:
            UnavailableError: there is no connection, no answer in time, or Redis refused.
        """
        return await self._run(lambda wire: wire.ask(*command))

    async def subscribe(self, channel: str) -> None:
        """Subscribe.

        Raises:
            UnavailableError: as :meth:`ask`.
        """
        await self._run(lambda wire: wire.subscribe(channel))

    async def evaluate(self, script: str, keys: tuple[str, ...], *arguments: bytes | str | int) -> Any:
        """Run a script.

        Raises:
            UnavailableError: as :meth:`ask`.
        """
        # Its digest is known only once there is a connection.
        return await self._run(
            lambda wire: wire.ask("EVALSHA", self.shas[script], len(keys), *keys, *arguments)
        )

    async def evaluate_all(
        self, script: str, calls: Sequence[tuple[tuple[str, ...], tuple[str | int, ...]]]
    ) -> list[Any]:
        """Run a script for each of ``calls``, keys and arguments, in one round trip.

        One that fails takes no other along: in the place of its reply stands ``None``.

        Raises:
            UnavailableError: as :meth:`ask`, and where all fail.
        """

        async def run(wire: Wire) -> list[Any]:
            sha = self.shas[script]
            return await asyncio.gather(
                *(wire.ask("EVALSHA", sha, len(keys), *keys, *arguments) for keys, arguments in calls),
                return_exceptions=True,
            )

        found: list[Any] = []
        for reply in await self._run(run):
            if isinstance(reply, WireError):
                self._failed(reply)
                reply = None
            elif isinstance(reply, BaseException):
                raise reply
            found.append(reply)
        if calls and all(reply is None for reply in found):
            raise UnavailableError
        return found

    async def check(self) -> None:
        """See at once whether data was lost.

        Raises:
            UnavailableError: as :meth:`ask`.
        """
        if not await self._run(self._beat):
            self._wiped()

    async def _run(self, work: Callable[[Wire], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.ready.wait()
            wire = self.wire
            if wire is None:
                raise UnavailableError
            async with asyncio.timeout(ANSWER_SECONDS):
                return await work(wire)
        except TimeoutError:
            raise UnavailableError from None
        except WireError as error:
            self._failed(error)
            raise UnavailableError from None

    def _failed(self, error: WireError) -> None:
        if is_another_server(str(error)) and self.wire is not None:
            self.wire.abort()
        self.refusals.note(str(error), time.monotonic())

    async def _stay_connected(self) -> None:
        delay, said = 0.05, ""
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    wire = await connect(self._url, self._pushed, f"{self._name}-{self._pod}")
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        wiped = await self._prepare(wire)
                except BaseException:
                    wire.abort()
                    raise
            except (WireError, TimeoutError) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("Redis can't be used", extra={"fields": {"problem": said or "timeout"}})
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
                delay = min(2 * delay, 1.0)
                continue
            delay, said = 0.05, ""
            self.wire, self.problem = wire, None
            self._on_use(wire)
            self.ready.set()
            log.info("Redis is up")
            if wiped:
                self._wiped()
            else:
                self._on_return(False)
            await wire.lost
            self.wire = None
            self.ready.clear()
            log.warning("Redis is down")

    async def _prepare(self, wire: Wire) -> bool:
        """Load scripts and subscribe; whether data was lost since the last connection."""
        for name, script in self._texts.items():
            self.shas[name] = await wire.ask("SCRIPT", "LOAD", script)
        channels = [self._inbox.decode(), *self._channels()]
        await asyncio.gather(*(wire.subscribe(channel) for channel in channels))
        known = self._beaten
        had = await self._beat(wire)
        await self._before_use(wire)
        return known and not had

    async def _beat(self, wire: Wire) -> bool:
        """Mark this pod as alive and send a probe; False if the former mark is gone."""
        self._probe_sent = time.monotonic()
        key = redis_keys.pod(self._pod)
        had = await wire.ask("EVALSHA", self.shas["heartbeat"], 1, key, BEAT_TTL_MS, self._inbox, PROBE)
        self._beaten = True
        return bool(had)

    async def _tend(self) -> None:
        beat = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._on_tick(now)
            self.refusals.tick(now)
            wire = self.wire
            if wire is None or now - beat < BEAT_SECONDS:
                continue
            beat = now
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if not await self._beat(wire):
                        self._wiped()
            except (WireError, TimeoutError):
                wire.abort()
                continue
            if time.monotonic() - self._probe_heard > DEAF_SECONDS:
                log.warning("Redis answers but does not deliver: connecting anew")
                self.problem = "Redis does not deliver to this pod"
                wire.abort()

    def _wiped(self) -> None:
        log.warning("Redis has lost its data")
        self._wiped_at = time.monotonic()
        self._on_return(True)

    def _pushed(self, channel: bytes, payload: bytes) -> None:
        if channel == self._inbox and payload == PROBE:
            self._probe_heard = time.monotonic()
            self.probe_seconds = self._probe_heard - self._probe_sent
        else:
            self._on_push(channel, payload)


def is_another_server(problem: str) -> bool:
    """Whether an error tells that this is not, or no longer, the server that was prepared."""
    return problem.startswith(("NOSCRIPT", "READONLY"))
