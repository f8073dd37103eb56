"""Three and more members call each other through the SFU; one without their secret tries to listen in."""

from __future__ import annotations

import asyncio
from itertools import permutations

from callcluster_probe.clip import clip
from callcluster_probe.e2ee.frames import Source
from callcluster_probe.group_caller import GroupCaller
from callcluster_probe.report import GroupMemberReport, GroupReport, percent_lost
from callcluster_probe.scenario import POLL_S, Cast, ProbeError, ProbeSettings, enter
from callcluster_probe.stranger import had_its_chance, let_in, verdict

SFU_COMES_WITH = 3
"""So many members make the signaling servers call for an SFU."""
SFU_WITHIN = 0.5
"""Part of the timeout after which no SFU will come any more."""
SENT: tuple[Source, ...] = ("mic", "cam")


class GroupCall:
    """The call of many."""

    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        cast, media = Cast(settings), clip()
        numbers = range(1, settings.members + 1)
        self._callers = [GroupCaller(number, cast.member(str(number)), media) for number in numbers]
        self._stranger = GroupCaller(0, cast.stranger(), media)
        self._sfu_due = float("inf")
        self._before: dict[tuple[int, int, Source], int] = {}
        """Frames that had decrypted when all had their first, by receiver, sender and source."""

    async def run(self) -> GroupReport:
        """Place it.

        Raises:
            ProbeError: it does not work.
        """
        for caller in self._callers:
            await enter(caller, self._settings, is_first=caller.number == 1)
            if caller.number == SFU_COMES_WITH:
                self._sfu_due = self._loop.time() + SFU_WITHIN * self._settings.timeout
        while self._waiting() is not None:
            await self._check()
        refused = await let_in(self._stranger, self._settings.timeout)
        self._before = self._opened()
        end = self._loop.time() + self._settings.duration
        while self._loop.time() < end or self._silent() or not (refused or self._stranger_had_its_chance()):
            await self._check()
        report = GroupReport(ok=True, stranger_refused=refused)
        report.members = [await self._report(caller) for caller in self._callers]
        for caller in self._callers:
            if caller.wrong:
                raise ProbeError(f"member {caller.number} decrypted {caller.wrong} frames that nobody sent")
        relayed = {each.local_candidate == "relay" for each in report.members}
        if self._settings.relay and relayed != {True}:
            raise ProbeError("relay wanted but the media went directly")
        report.route = "relay" if any(relayed) else "direct"
        report.turn = self._callers[0].member.ice.turn_url() if any(relayed) else None
        if not refused:
            report.stranger = verdict(self._stranger, self._callers)
        return report

    def trouble(self) -> str:
        """What a call that takes too long is waiting for."""
        for caller in self._callers:
            if caller.member.joined_at is None:
                return f"member {caller.number} could not join ({caller.member.last_error})"
        if waiting := self._waiting() or self._silent():
            return waiting
        return "the member without the secret got no frames to try, or gave none"

    async def close(self) -> None:
        """Everyone leaves."""
        await asyncio.gather(*(caller.close() for caller in (*self._callers, self._stranger)))

    async def _check(self) -> None:
        """Wait a moment, and fail early where waiting longer is in vain."""
        await asyncio.sleep(POLL_S)
        for caller in self._callers:
            caller.fail_if_broken()
            if caller.ended_because:
                raise ProbeError(f"member {caller.number} was cut off: {caller.ended_because}")
            trouble = caller.member.link.relay_trouble if caller.member.link else None
            if self._settings.relay and trouble:
                raise ProbeError(f"no relay candidate: TURN at {caller.member.ice.turn_url()} {trouble}")
        if self._loop.time() > self._sfu_due and not any(each.member.offered for each in self._callers):
            patience = SFU_WITHIN * self._settings.timeout
            raise ProbeError(f"no SFU serves the room: none came within {patience:g} s of the third member")

    def _waiting(self) -> str | None:
        """What is still to come before everyone has everyone's media; ``None`` when nothing is."""
        for caller in self._callers:
            if not caller.member.connected:
                why = caller.member.trouble or "it did not answer"
                return f"member {caller.number} has no connection with the SFU ({why})"
        for caller, other in permutations(self._callers, 2):
            frames = caller.counts(other.member.sid)
            for source in SENT:
                if not caller.opened(other.member.sid, source):
                    what = "frames arrive but do not decrypt" if frames.received else "no frames arrive"
                    return f"member {caller.number} lacks the {source} of member {other.number}: {what}"
        return None

    def _opened(self) -> dict[tuple[int, int, Source], int]:
        return {
            (caller.number, other.number, source): caller.opened(other.member.sid, source)
            for caller, other in permutations(self._callers, 2)
            for source in SENT
        }

    def _silent(self) -> str | None:
        """Who gave nothing more after the first frames; ``None`` when everyone did."""
        for (number, other, source), opened in self._opened().items():
            if opened <= self._before.get((number, other, source), -1):
                what = f"the {source} of member {other}"
                return f"member {number} decrypted nothing of {what} after the first frames"
        return None

    def _stranger_had_its_chance(self) -> bool:
        sid = self._stranger.member.sid
        reached_all = all(each.counts(sid).received for each in self._callers)
        return reached_all and had_its_chance(self._stranger, self._callers)

    async def _report(self, caller: GroupCaller) -> GroupMemberReport:
        link = caller.member.link
        route = link.route() if link else None
        if link is None or route is None:
            raise ProbeError(f"the connection of member {caller.number} with the SFU broke during the call")
        packets = await link.packets()
        counts = [caller.counts(each.member.sid) for each in self._callers]
        return GroupMemberReport(
            first_frames_ms=[self._first_frame_ms(caller, other) for other in self._callers],
            received=sum(each.received for each in counts),
            opened=sum(each.opened for each in counts),
            early=sum(each.early for each in counts),
            wrong=caller.wrong,
            packets_received=packets.received,
            packets_lost=packets.lost,
            loss_percent=percent_lost(packets.lost, packets.received),
            local_candidate=route.local,
            remote_candidate=route.remote,
            protocol=route.protocol,
        )

    @staticmethod
    def _first_frame_ms(caller: GroupCaller, other: GroupCaller) -> int | None:
        if caller is other:
            return None
        joins = [each.member.joined_at for each in (caller, other) if each.member.joined_at is not None]
        return round(1_000 * (caller.first_frames[other.member.sid] - max(joins)))
