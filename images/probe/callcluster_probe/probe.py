"""The scenario: two members call each other, a third one without their secret tries to listen in."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from dataclasses import dataclass

from callcluster_probe.caller import Caller
from callcluster_probe.member import MemberSettings
from callcluster_probe.report import MemberReport, Report, StrangerReport
from callcluster_probe.signaling.client import SignalingError
from callcluster_probe.token import mint
from callcluster_probe.transport import Route, TurnTransport

POLL_S = 0.02
TIDY_UP_S = 5.0
STRANGER_FRAMES = 20
"""So many sealed frames the stranger must have had before its failure to open them proves anything."""
GOOD_SHARE = 0.5
"""Part of the decoded pictures and sounds that must be right; a lost packet blurs some."""


class ProbeError(Exception):
    """The call failed; the message is the one line that says why."""


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What to call through, and how."""

    url: str
    relay: bool = False
    turn_transport: TurnTransport | None = None
    duration: float = 5.0
    """Seconds of media that both sides must have after the first frame."""
    timeout: float = 30.0
    """Seconds after which the call has failed, whatever the reason."""
    room: str | None = None
    secret: bytes | None = None
    token: str | None = None
    jwt_secret: str | None = None


async def probe(settings: ProbeSettings) -> Report:
    """Place the call. What a deployment does wrong stands in the report; the timeout always holds."""
    started = time.monotonic()
    call = _Call(settings)
    try:
        async with asyncio.timeout(settings.timeout):
            report = await call.run()
    except ProbeError as failure:
        report = Report(ok=False, error=str(failure))
    except TimeoutError:
        report = Report(ok=False, error=f"after {settings.timeout:g} s: {call.trouble()}")
    finally:
        seconds = round(time.monotonic() - started, 3)
        await asyncio.wait([asyncio.create_task(call.close())], timeout=TIDY_UP_S)
    report.seconds = seconds
    return report


class _Call:
    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._room = settings.room or f"probe-{secrets.token_hex(8)}"
        self._secret = settings.secret or os.urandom(32)
        self._loop = asyncio.get_running_loop()
        self._first = self._caller("first", 0, self._secret)
        self._second = self._caller("second", 1, self._secret)
        self._stranger = self._caller("stranger", 0, os.urandom(32))

    async def run(self) -> Report:
        """Raises ProbeError."""
        first, second, stranger = self._first, self._second, self._stranger
        await self._join(first)
        if self._settings.relay and first.member.ice.turn_url() is None:
            over = f" over {self._settings.turn_transport}" if self._settings.turn_transport else ""
            raise ProbeError(f"relay wanted but the server offers no TURN server{over}")
        await self._join(second)
        while not (first.first_frame_at and second.first_frame_at):
            await self._check()
        refused = await self._let_in(stranger)
        opened_before = self._opened(first, second), self._opened(second, first)
        end = self._loop.time() + self._settings.duration
        while self._loop.time() < end or (not refused and not self._stranger_had_its_chance()):
            await self._check()
        members = [await self._report(first, second), await self._report(second, first)]
        for name, member, before in zip(("first", "second"), members, opened_before, strict=True):
            _judge(name, member, before)
        routes = self._route(first, second), self._route(second, first)
        relayed = [route.relayed for route in routes]
        if self._settings.relay and not all(relayed):
            raise ProbeError("relay wanted but the media went directly")
        report = Report(ok=True, members=members, stranger_refused=refused)
        report.route = "relay" if any(relayed) else "direct"
        report.turn = first.member.ice.turn_url() if any(relayed) else None
        if not refused:
            report.stranger = self._stranger_report()
        return report

    def trouble(self) -> str:
        """What a call that takes too long is waiting for."""
        first, second = self._first, self._second
        if second.member.joined_at is None:
            waiting = second if first.member.joined_at else first
            return f"the members could not join ({waiting.member.last_error})"
        links = [link for c in (first, second) for link in c.member.links.values()]
        if not any(link.connected for link in links):
            why = next((link.trouble for link in links if link.trouble), "no pair of addresses works")
            return f"no media connection between the members ({why})"
        counts = first.counts(second.member.sid), second.counts(first.member.sid)
        if any(each.received and not each.opened for each in counts):
            return "frames arrive but do not decrypt"
        if any(not each.received for each in counts):
            return "the members are connected but no frames arrive"
        return "the member without the secret got no frames to try"

    async def close(self) -> None:
        """Everyone leaves."""
        await asyncio.gather(*(c.close() for c in (self._first, self._second, self._stranger)))

    def _caller(self, subject: str, tone: int, secret: bytes) -> Caller:
        settings = self._settings
        token = settings.token
        if settings.jwt_secret is not None:
            token = mint(settings.jwt_secret, self._room, f"probe-{subject}", time.time())
        return Caller(
            MemberSettings(
                urls=(settings.url,),
                room=self._room,
                secret=secret,
                token=token,
                name=f"probe {subject}",
                relay_only=settings.relay,
                turn_transport=settings.turn_transport,
            ),
            tone,
        )

    async def _join(self, caller: Caller) -> None:
        try:
            await caller.join(self._settings.timeout)
        except SignalingError as error:
            raise ProbeError(f"signaling at {self._settings.url}: {error}") from None

    async def _let_in(self, stranger: Caller) -> str | None:
        """Why the stranger stays out, if it does: a room may be made for two."""
        try:
            await stranger.join(self._settings.timeout)
        except SignalingError as error:
            return error.code
        return None

    async def _check(self) -> None:
        """Wait a moment, and fail early where waiting longer is in vain."""
        await asyncio.sleep(POLL_S)
        for name, caller in (("first", self._first), ("second", self._second)):
            caller.fail_if_broken()
            if caller.ended_because:
                raise ProbeError(f"the {name} member was cut off: {caller.ended_because}")
            trouble = self._relay_trouble(caller)
            if self._settings.relay and trouble:
                raise ProbeError(f"no relay candidate: TURN at {caller.member.ice.turn_url()} {trouble}")

    def _stranger_had_its_chance(self) -> bool:
        counts = [self._stranger.counts(c.member.sid) for c in (self._first, self._second)]
        return sum(each.received for each in counts) >= STRANGER_FRAMES

    def _stranger_report(self) -> StrangerReport:
        stranger, others = self._stranger, (self._first, self._second)
        sid, now = stranger.member.sid, self._loop.time()
        counts = [stranger.counts(c.member.sid) for c in others]
        report = StrangerReport(
            received=sum(each.received for each in counts),
            opened=sum(each.opened for each in counts),
            given_away=sum(c.counts(sid).opened for c in others),
            trusted_by=sum(bool(c.member.keys and c.member.keys.trusted(sid, now)) for c in others),
        )
        if report.opened or report.trusted_by or report.given_away:
            raise ProbeError(
                f"a member without the room secret was trusted by {report.trusted_by}, decrypted "
                f"{report.opened} frames and had {report.given_away} of its own accepted"
            )
        return report

    @staticmethod
    def _relay_trouble(caller: Caller) -> str | None:
        connections = (link.connection for link in caller.member.links.values())
        return next((c.relay_trouble for c in connections if c and c.relay_trouble), None)

    @staticmethod
    def _opened(caller: Caller, other: Caller) -> int:
        return caller.counts(other.member.sid).opened

    @staticmethod
    def _route(caller: Caller, other: Caller) -> Route:
        link = caller.member.links.get(other.member.sid)
        route = link.connection.route() if link and link.connection else None
        if route is None:
            raise ProbeError("the media connection broke during the call")
        return route

    async def _report(self, caller: Caller, other: Caller) -> MemberReport:
        route = self._route(caller, other)
        connection = caller.member.links[other.member.sid].connection
        assert connection is not None
        assert caller.first_frame_at is not None
        assert self._second.member.joined_at is not None
        packets = await connection.packets()
        frames = caller.counts(other.member.sid)
        sent = packets.received + packets.lost
        return MemberReport(
            join_to_first_frame_ms=round(1000 * (caller.first_frame_at - self._second.member.joined_at)),
            received=frames.received,
            opened=frames.opened,
            early=frames.early,
            video_decoded=caller.screen.seen.decoded,
            video_matched=caller.screen.seen.matched,
            audio_decoded=caller.speaker.seen.decoded,
            audio_matched=caller.speaker.seen.matched,
            packets_received=packets.received,
            packets_lost=packets.lost,
            loss_percent=round(100 * packets.lost / sent, 2) if sent else 0.0,
            local_candidate=route.local,
            remote_candidate=route.remote,
            protocol=route.protocol,
        )


def _judge(name: str, member: MemberReport, opened_before: int) -> None:
    if member.opened <= opened_before:
        raise ProbeError(f"the {name} member decrypted no frames after the first ones")
    for what, decoded, matched in (
        ("pictures", member.video_decoded, member.video_matched),
        ("sounds", member.audio_decoded, member.audio_matched),
    ):
        if matched <= decoded * GOOD_SHARE:
            raise ProbeError(f"the {name} member got {matched} of {decoded} {what} right")
