"""Two members call each other, a third one without their secret tries to listen in."""

from __future__ import annotations

import asyncio

from callcluster_probe.caller import Caller
from callcluster_probe.report import MemberReport, Report, percent_lost
from callcluster_probe.scenario import POLL_S, Cast, ProbeError, ProbeSettings, enter
from callcluster_probe.stranger import had_its_chance, let_in, verdict
from callcluster_probe.transport import Route

GOOD_SHARE = 0.5
"""Part of the decoded pictures and sounds that must be right; a lost packet blurs some."""


class PairCall:
    """The call of two."""

    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        cast = Cast(settings)
        self._first = Caller(cast.member("first"), 0)
        self._second = Caller(cast.member("second"), 1)
        self._stranger = Caller(cast.stranger(), 0)

    async def run(self) -> Report:
        """Place it.

        Raises:
            ProbeError: it does not work.
        """
        first, second, stranger = self._first, self._second, self._stranger
        await enter(first, self._settings, is_first=True)
        await enter(second, self._settings, is_first=False)
        while not (first.first_frame_at and second.first_frame_at):
            await self._check()
        refused = await let_in(stranger, self._settings.timeout)
        opened_before = self._opened(first, second), self._opened(second, first)
        end = self._loop.time() + self._settings.duration
        while self._loop.time() < end or (not refused and not had_its_chance(stranger, (first, second))):
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
            report.stranger = verdict(stranger, (first, second))
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
            loss_percent=percent_lost(packets.lost, packets.received),
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
