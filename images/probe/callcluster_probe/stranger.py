"""One more member, with another room secret: it must get nothing, and give nothing."""

from __future__ import annotations

from collections.abc import Sequence

from callcluster_probe.performer import Performer
from callcluster_probe.report import StrangerReport
from callcluster_probe.scenario import ProbeError
from callcluster_probe.signaling.client import SignalingError

FRAMES = 20
"""So many sealed frames it must have had before its failure to open them proves anything."""


async def let_in(stranger: Performer, timeout: float) -> str | None:
    """Why the stranger stays out, if it does: a room may be made for the others alone."""
    try:
        await stranger.join(timeout, retry=True)
    except SignalingError as error:
        return error.code
    return None


def had_its_chance(stranger: Performer, others: Sequence[Performer]) -> bool:
    """Whether enough frames reached it."""
    return sum(stranger.counts(each.member.sid).received for each in others) >= FRAMES


def verdict(stranger: Performer, others: Sequence[Performer]) -> StrangerReport:
    """What it got.

    Raises:
        ProbeError: it is more than nothing.
    """
    sid, now = stranger.member.sid, stranger.loop.time()
    counts = [stranger.counts(each.member.sid) for each in others]
    report = StrangerReport(
        received=sum(each.received for each in counts),
        opened=sum(each.opened for each in counts),
        given_away=sum(each.counts(sid).opened for each in others),
        trusted_by=sum(bool(each.member.keys and each.member.keys.trusted(sid, now)) for each in others),
    )
    if report.opened or report.trusted_by or report.given_away:
        raise ProbeError(
            f"a member without the room secret was trusted by {report.trusted_by}, decrypted "
            f"{report.opened} frames and had {report.given_away} of its own accepted"
        )
    return report
