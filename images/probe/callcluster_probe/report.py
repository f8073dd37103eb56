"""What the probe found, as one object for a monitor and as text for a person."""

from __future__ import annotations

import msgspec


class MemberReport(msgspec.Struct, kw_only=True):
    """One of the two members; frames are those of the other one."""

    join_to_first_frame_ms: int
    """From the second member's ``join`` to the first frame that this one decrypted."""
    received: int
    opened: int
    early: int
    """Came before their key, and were dropped; a few at the start are in order."""
    video_decoded: int
    video_matched: int
    audio_decoded: int
    audio_matched: int
    packets_received: int
    packets_lost: int
    loss_percent: float
    local_candidate: str
    remote_candidate: str
    protocol: str
    """From this member to the other one, or to its relay: ``udp``, ``tcp`` or ``tls``."""


class GroupMemberReport(msgspec.Struct, kw_only=True):
    """One member of a call through the SFU; frames and packets are those of all others."""

    first_frames_ms: list[int | None]
    """From the later ``join`` of the two to the first frame of each member that decrypted, in their order;
    null for itself."""
    received: int
    opened: int
    early: int
    wrong: int
    """Decrypted, and not what was sent."""
    packets_received: int
    packets_lost: int
    loss_percent: float
    local_candidate: str
    remote_candidate: str
    protocol: str
    """From this member to the SFU, or to its relay: ``udp``, ``tcp`` or ``tls``."""


class StrangerReport(msgspec.Struct, kw_only=True):
    """One more member, with another room secret."""

    received: int
    opened: int
    trusted_by: int
    given_away: int
    """Its own frames that the others opened."""


class CallReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is said of any call. With ``ok`` false, ``error`` says in one line why."""

    ok: bool
    error: str | None = None
    seconds: float = 0.0
    route: str | None = None
    """``direct`` or ``relay``; in a group, of the members to the SFU."""
    turn: str | None = None
    """Address of the TURN server in use."""
    stranger: StrangerReport | None = None
    stranger_refused: str | None = None
    """Why one more member could not join, so that the check of a wrong secret did not take place."""


class Report(CallReport, kw_only=True, omit_defaults=True):
    """One call of two."""

    members: list[MemberReport] = msgspec.field(default_factory=list)


class GroupReport(CallReport, kw_only=True, omit_defaults=True):
    """One call through the SFU."""

    members: list[GroupMemberReport] = msgspec.field(default_factory=list)


def percent_lost(lost: int, received: int) -> float:
    """Packets that were lost of all that were sent."""
    return round(100 * lost / (lost + received), 2) if lost else 0.0


def as_json(report: Report | GroupReport) -> str:
    """One line of JSON."""
    return msgspec.json.encode(report).decode()


def as_text(report: Report | GroupReport) -> str:
    """A few lines for a terminal."""
    if not report.ok:
        return f"The call failed: {report.error}"
    via = f" through {report.turn}" if report.turn else ""
    how = f"{report.route}{via}, {report.seconds:.1f} s"
    if isinstance(report, GroupReport):
        lines = [f"The call of {len(report.members)} works through the SFU: {how}", *_group_lines(report)]
    else:
        lines = [f"The call works: {how}", *_pair_lines(report)]
    if report.stranger:
        lines.append(
            f"  wrong secret : {report.stranger.opened} of {report.stranger.received} frames decrypted, "
            f"trusted by {report.stranger.trusted_by}"
        )
    elif report.stranger_refused:
        lines.append(
            f"  wrong secret : not checked, one more member could not join ({report.stranger_refused})"
        )
    return "\n".join(lines)


def _group_lines(report: GroupReport) -> list[str]:
    lines = []
    for number, member in enumerate(report.members, 1):
        first = [each for each in member.first_frames_ms if each is not None]
        lines.append(
            f"  member {number:2}: first frames after {min(first)} to {max(first)} ms, "
            f"{_frames(member)} decrypted{_early(member)}, "
            f"{member.loss_percent:.1f} % of packets lost, "
            f"{member.local_candidate} to {member.remote_candidate} over {member.protocol}"
        )
    return lines


def _pair_lines(report: Report) -> list[str]:
    lines = []
    for name, member in zip(("first", "second"), report.members, strict=True):
        lines.append(
            f"  {name:6} member: first frame after {member.join_to_first_frame_ms} ms, "
            f"{_frames(member)} decrypted{_early(member)}, "
            f"{member.video_matched} of {member.video_decoded} pictures and "
            f"{member.audio_matched} of {member.audio_decoded} sounds right, "
            f"{member.loss_percent:.1f} % of packets lost, "
            f"{member.local_candidate} to {member.remote_candidate} over {member.protocol}"
        )
    return lines


def _frames(member: MemberReport | GroupMemberReport) -> str:
    return f"{member.opened} of {member.received} frames"


def _early(member: MemberReport | GroupMemberReport) -> str:
    return f" ({member.early} came before their key)" if member.early else ""
