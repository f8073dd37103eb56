"""Light members for load and fault tests: real routes, keys and sessions, and hardly any media.

Each sends ready-made Opus frames at a low rate and numbered messages, and writes down what it missed: the
longest silence, every resume, every message that never came. A hundred fit into one process.

    async with LightCall(url_a, url_b, room, secret) as call:
        await call.talking()
        ...
        first, second = call.stats()
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from types import TracebackType

from callcluster_probe.e2ee.frames import Source
from callcluster_probe.e2ee.keys import FrameCounts
from callcluster_probe.listener import Listener
from callcluster_probe.member import Member, MemberSettings
from callcluster_probe.signaling.client import SignalingError

OPUS_SILENCE = b"\xf8\xff\xfe"
"""20 ms of silence (RFC 6716, code 0, CELT); what is in the frame does not matter, that it opens does."""
FRAME_EVERY_S = 0.25
MESSAGE_EVERY_S = 1.0
SAMPLE_RATE = 48_000
JOIN_S = 60.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Resume:
    """One time that a session was taken up again."""

    at: float
    """Time of the event loop, seconds."""
    seconds: float
    """How long no server carried the session; 0 where it moved without a gap."""


@dataclass(frozen=True, slots=True)
class LightStats:
    """What one member of a call went through so far."""

    frames_opened: int
    frames_early: int
    """Frames that came before their key."""
    frames_failed: int
    longest_gap: float
    """Longest time between two decrypted frames, the present silence included; seconds."""
    resumes: tuple[Resume, ...]
    rejoins: int
    """Sessions that were lost and replaced by new ones."""
    down: bool
    """Whether no server carries the session now."""
    messages_taken: int
    """Own messages that the server took."""
    messages_lost: tuple[int, ...]
    """Numbers of messages that the other member's server took, and that never came here."""
    messages_repeated: int
    messages_out_of_order: int
    ended: str | None
    """Why the session is over, if it is."""


@dataclass(slots=True)
class _Messages:
    taken: set[int] = field(default_factory=set)
    came: list[int] = field(default_factory=list)


class LightMember(Listener):
    """One light member. It implements ``Listener`` for itself."""

    def __init__(self, settings: MemberSettings) -> None:
        self.member = Member(settings, self)
        self.messages = _Messages()
        self.resumes: list[Resume] = []
        self.rejoins = 0
        self.down = False
        self.reason: str | None = None
        self._last_frame: float | None = None
        self._longest_gap = 0.0
        self._loop = asyncio.get_running_loop()
        self._sending: asyncio.Task[None] | None = None
        self._messaging: asyncio.Task[None] | None = None
        self._quiet = asyncio.Event()

    async def start(self) -> None:
        """Join and begin to send frames.

        Raises:
            SignalingError: the server can't be reached or refuses.
        """
        await self.member.join(JOIN_S, retry=True)
        self._sending = asyncio.create_task(self._send_frames())

    def start_messages(self) -> None:
        """Begin to send messages; who joins later does not get the earlier ones."""
        self._messaging = asyncio.create_task(self._send_messages())

    async def stop_messages(self) -> None:
        """Send no more messages; returns when the server has answered the last one."""
        self._quiet.set()
        if self._messaging:
            await self._messaging

    async def close(self) -> None:
        """Leave."""
        work = [task for task in (self._sending, self._messaging) if task]
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await self.member.close()

    def longest_gap(self) -> float:
        """Longest silence of the other member since its first frame; seconds."""
        if self._last_frame is None:
            return 0.0
        return max(self._longest_gap, self._loop.time() - self._last_frame)

    def forget_gaps(self) -> None:
        """Measure silence from now on."""
        self._longest_gap = 0.0

    def frames(self) -> list[FrameCounts]:
        """Of each track of each other member."""
        keys = self.member.keys
        return [c for remote in keys.remotes.values() for c in remote.counts.values()] if keys else []

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        """See ``Listener``."""
        now = self._loop.time()
        if self._last_frame is not None:
            self._longest_gap = max(self._longest_gap, now - self._last_frame)
        self._last_frame = now

    def message(self, sid: str, message: object) -> None:
        """See ``Listener``."""
        if isinstance(message, int):
            self.messages.came.append(message)

    def went_down(self) -> None:
        """See ``Listener``."""
        self.down = True

    def resumed(self, seconds: float) -> None:
        """See ``Listener``."""
        self.down = False
        self.resumes.append(Resume(self._loop.time(), seconds))

    def rejoined(self) -> None:
        """See ``Listener``."""
        self.down = False
        self.rejoins += 1

    def ended(self, reason: str) -> None:
        """See ``Listener``."""
        self.reason = reason

    async def _send_frames(self) -> None:
        tick = 0
        while True:
            self.member.send("mic", OPUS_SILENCE, int(tick * FRAME_EVERY_S * SAMPLE_RATE))
            tick += 1
            await asyncio.sleep(FRAME_EVERY_S)

    async def _send_messages(self) -> None:
        number = 0
        while not self._quiet.is_set():
            number += 1
            try:
                await self.member.send_message(number)
                self.messages.taken.add(number)
            except SignalingError:
                pass  # never taken, so it can't be lost
            try:
                async with asyncio.timeout(MESSAGE_EVERY_S):
                    await self._quiet.wait()
            except TimeoutError:
                continue


class LightCall:
    """Two light members in one room; each starts at its own server and may resume at the other's.

    Args:
        url_a: signaling server of the first member.
        url_b: of the second one.
        room: room id.
        secret: room secret, 32 bytes.
        token: join token of both, where the server wants one.
        relay_only: let media go through TURN only.
    """

    def __init__(
        self,
        url_a: str,
        url_b: str,
        room: str,
        secret: bytes,
        token: str | None = None,
        relay_only: bool = False,
    ) -> None:
        def member(urls: tuple[str, ...]) -> LightMember:
            return LightMember(
                MemberSettings(urls, room, secret, token, sends=("mic",), relay_only=relay_only)
            )

        self.members = (
            member(tuple(dict.fromkeys((url_a, url_b)))),
            member(tuple(dict.fromkeys((url_b, url_a)))),
        )

    async def __aenter__(self) -> LightCall:
        """Both join.

        Raises:
            SignalingError: a server can't be reached or refuses.
        """
        try:
            for member in self.members:
                await member.start()
            for member in self.members:
                member.start_messages()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Both leave."""
        await asyncio.gather(*(member.close() for member in self.members))

    async def talking(self, timeout: float = 30.0) -> None:
        """Wait until each member has decrypted a frame of the other one.

        Raises:
            TimeoutError: not within ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            while not all(any(c.opened for c in member.frames()) for member in self.members):
                await asyncio.sleep(POLL_S)

    async def settle(self, timeout: float = 30.0) -> None:
        """Stop the messages, and wait until those that were taken have come, or ``timeout`` is over."""
        await asyncio.gather(*(member.stop_messages() for member in self.members))
        end = asyncio.get_running_loop().time() + timeout
        while any(s.messages_lost for s in self.stats()) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(POLL_S)

    def forget_gaps(self) -> None:
        """Measure silence from now on, as before a fault."""
        for member in self.members:
            member.forget_gaps()

    def stats(self) -> tuple[LightStats, LightStats]:
        """Of both members; messages on their way count as lost until ``settle``."""
        first, second = self.members
        return _stats(first, second), _stats(second, first)


def _stats(member: LightMember, other: LightMember) -> LightStats:
    came = member.messages.came
    frames = member.frames()
    return LightStats(
        frames_opened=sum(c.opened for c in frames),
        frames_early=sum(c.early for c in frames),
        frames_failed=sum(c.failed for c in frames),
        longest_gap=member.longest_gap(),
        resumes=tuple(member.resumes),
        rejoins=member.rejoins,
        down=member.down,
        messages_taken=len(member.messages.taken),
        messages_lost=tuple(sorted(other.messages.taken - set(came))),
        messages_repeated=len(came) - len(set(came)),
        messages_out_of_order=sum(b < a for a, b in itertools.pairwise(came)),
        ended=member.reason,
    )
