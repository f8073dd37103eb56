"""Text to a description."""

from __future__ import annotations

from collections.abc import Iterator

from callcluster_sfu.sdp.attributes import read_section, read_session
from callcluster_sfu.sdp.draft import SectionDraft, SessionDraft
from callcluster_sfu.sdp.error import SdpError
from callcluster_sfu.sdp.limits import Limits
from callcluster_sfu.sdp.line import Line, lines_of
from callcluster_sfu.sdp.values import Description, Origin, Section

_LIMITS = Limits()
_MAX_NUMBER = 2**64 - 1
_MAX_BITRATE = 2**40


def parse(text: str, limits: Limits = _LIMITS) -> Description:
    """Reads an offer or answer; takes time in proportion to its length.

    Raises:
        SdpError: it breaks a rule or a limit; nothing else is ever raised.
    """
    lines = lines_of(text, limits)
    first = _expect(lines, "v")
    if first.value != "0":
        raise first.error("must be 0")
    origin = _origin(_expect(lines, "o"))
    _expect(lines, "s")
    session = SessionDraft(limits, first)
    drafts: list[SectionDraft] = []
    timed = False
    for line in lines:
        if line.type == "m":
            if len(drafts) >= limits.sections:
                raise line.error(f"stands more than {limits.sections} times")
            drafts.append(_section(line, session))
        elif line.type in "vos":
            raise line.error("must stand once, at the start")
        elif drafts:
            _within(drafts[-1], line)
        elif line.type == "a":
            read_session(session, line)
        elif line.type == "t":
            timed = True
    if not timed:
        raise SdpError("description", "has no t= line before its first section")
    sections = tuple(draft.close() for draft in drafts)
    _check_mids(sections)
    return Description(
        origin,
        sections,
        tuple(session.bundles),
        ice_lite=session.ice_lite,
        allow_mixed=session.allow_mixed,
        transport=session.transport.close(first),
    )


def _expect(lines: Iterator[Line], line_type: str) -> Line:
    line = next(lines, None)
    if line is None or line.type != line_type:
        raise SdpError("description", "must begin with v=, o= and s=")
    return line


def _origin(line: Line) -> Origin:
    words = line.words(6, 6)
    return Origin(
        line.number_in(words[1], 0, _MAX_NUMBER, "the session id"),
        line.number_in(words[2], 0, _MAX_NUMBER, "the session version"),
    )


def _section(line: Line, session: SessionDraft) -> SectionDraft:
    kind, port, protocol, *formats = line.words(4, 3 + session.limits.formats)
    head = Section(
        line.token(kind, 32, "the medium"),
        line.number_in(port, 0, 65535, "the port"),
        line.visible(protocol, 32, "the protocol"),
        tuple(line.visible(format_, 32, "a format") for format_ in formats),
    )
    payload_types: set[int] = set()
    if "RTP" in protocol.split("/"):
        payload_types = {line.number_in(format_, 0, 127, "a payload type") for format_ in formats}
        if len(payload_types) != len(formats):
            raise line.error("has a payload type twice")
    return SectionDraft(session.limits, line, head, session.direction, frozenset(payload_types))


def _within(draft: SectionDraft, line: Line) -> None:
    if line.type == "a":
        read_section(draft, line)
    elif line.type == "b":
        modifier, _, number = line.value.partition(":")
        bandwidth = line.number_in(number, 0, _MAX_BITRATE, "the bandwidth")
        if modifier == "TIAS":
            draft.max_bitrate = bandwidth
    elif line.type not in "ick":
        raise line.error("can't stand within a section")


def _check_mids(sections: tuple[Section, ...]) -> None:
    seen: set[str] = set()
    for index, section in enumerate(sections):
        if section.mid is None:
            continue
        if section.mid in seen:
            raise SdpError(f"section {index}", "has the mid of an earlier section")
        seen.add(section.mid)
