"""What the attributes of a section say; one reader for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from callcluster_sfu.sdp.draft import SectionDraft, SessionDraft, TransportDraft
from callcluster_sfu.sdp.line import Line
from callcluster_sfu.sdp.values import (
    Candidate,
    Codec,
    Direction,
    Extension,
    Feedback,
    Fingerprint,
    Msid,
    Rid,
    Setup,
    Simulcast,
    SimulcastStream,
    Source,
    SourceGroup,
)

MAX_MID = 16
"""What fits a one-byte header extension (RFC 9143)."""
MAX_RID = 16
MAX_SSRC = 2**32 - 1

_ICE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_RID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_HEX = frozenset("0123456789abcdefABCDEF")
_DIGEST_BYTES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
_DIRECTIONS = {direction.value: direction for direction in Direction}
_SETUPS = {setup.value: setup for setup in Setup}
_FEEDBACK = {feedback.value: feedback for feedback in Feedback}
_MAX_PARAMETERS = 32
_MAX_GROUP = 8

Draft = TypeVar("Draft", SessionDraft, SectionDraft)


def read_session(draft: SessionDraft, line: Line) -> None:
    """Takes an attribute that stands before the first section."""
    _read(SESSION, draft, line)


def read_section(draft: SectionDraft, line: Line) -> None:
    """Takes an attribute of a section; those of RTP mean nothing in a section of something else."""
    if draft.payload_types or line.name in _ANY_PROTOCOL:
        _read(SECTION, draft, line)


def _read(readers: Mapping[str, Callable[[Draft, Line], None]], draft: Draft, line: Line) -> None:
    reader = readers.get(line.name)
    if reader is None:
        return
    if line.name not in _REPEATED:
        key = "direction" if line.name in _DIRECTIONS else line.name
        if key in draft.seen:
            raise line.error("stands twice")
        draft.seen.add(key)
    reader(draft, line)


def _ufrag(transport: TransportDraft, line: Line) -> None:
    if not (4 <= len(line.value) <= 256 and _ICE.issuperset(line.value)):
        raise line.error("must be 4 to 256 ICE characters (RFC 8839 section 5.4)")
    transport.ufrag = line.value


def _pwd(transport: TransportDraft, line: Line) -> None:
    if not (22 <= len(line.value) <= 256 and _ICE.issuperset(line.value)):
        raise line.error("must be 22 to 256 ICE characters (RFC 8839 section 5.4)")
    transport.pwd = line.value


def _fingerprint(transport: TransportDraft, line: Line) -> None:
    algorithm, digest = line.words(2, 2)
    algorithm = algorithm.lower()
    length = _DIGEST_BYTES.get(algorithm)
    if length is None:
        return
    pairs = digest.split(":")
    if len(pairs) != length or any(len(pair) != 2 or not _HEX.issuperset(pair) for pair in pairs):
        raise line.error(f"needs {length} pairs of hexadecimal digits")
    if any(known.algorithm == algorithm for known in transport.fingerprints):
        raise line.error("has a hash function twice")
    transport.fingerprints.append(Fingerprint(algorithm, bytes.fromhex("".join(pairs))))


def _setup(transport: TransportDraft, line: Line) -> None:
    setup = _SETUPS.get(line.value)
    if setup is None:
        raise line.error("must be active, passive, actpass or holdconn")
    transport.setup = setup


def _direction(draft: SessionDraft | SectionDraft, line: Line) -> None:
    draft.direction = _DIRECTIONS[line.name]


def _group(draft: SessionDraft, line: Line) -> None:
    semantics, *mids = line.words(1, draft.limits.sections + 1)
    if semantics != "BUNDLE":
        return
    if len(draft.bundles) >= _MAX_GROUP:
        raise line.error("stands too often")
    bundle = tuple(line.token(mid, MAX_MID, "a mid") for mid in mids)
    if len(set(bundle)) != len(bundle):
        raise line.error("names a mid twice")
    draft.bundles.append(bundle)


def _ice_lite(draft: SessionDraft, line: Line) -> None:
    draft.ice_lite = True


def _session_allow_mixed(draft: SessionDraft, line: Line) -> None:
    draft.allow_mixed = True


def _mid(draft: SectionDraft, line: Line) -> None:
    draft.mid = line.token(line.value, MAX_MID, "it")


def _flag(draft: SectionDraft, line: Line) -> None:
    draft.flags.add(line.name)


def _candidate(draft: SectionDraft, line: Line) -> None:
    if len(draft.candidates) >= draft.limits.candidates:
        raise line.error(f"stands more than {draft.limits.candidates} times")
    foundation, component, transport, priority, address, port, typ, kind, *_ = line.words(8, 64)
    if typ != "typ":
        raise line.error("needs the word typ")
    draft.candidates.append(
        Candidate(
            line.visible(foundation, 32, "the foundation"),
            line.number_in(component, 1, 256, "the component"),
            line.token(transport, 16, "the transport").lower(),
            line.number_in(priority, 0, 2**31 - 1, "the priority"),
            line.visible(address, 255, "the address"),
            line.number_in(port, 0, 65535, "the port"),
            line.token(kind, 16, "the type"),
        )
    )


def _payload_type(draft: SectionDraft, line: Line, text: str) -> int:
    payload_type = line.number_in(text, 0, 127, "the payload type")
    if payload_type not in draft.payload_types:
        raise line.error("names a payload type that the m= line has not")
    return payload_type


def _rtpmap(draft: SectionDraft, line: Line) -> None:
    number, encoding = line.words(2, 2)
    payload_type = _payload_type(draft, line, number)
    name, clock, channels = (*encoding.split("/", 2), "", "")[:3]
    if payload_type in draft.codecs:
        raise line.error("stands twice for a payload type")
    draft.codecs[payload_type] = Codec(
        payload_type,
        line.token(name, 32, "the encoding name"),
        line.number_in(clock, 1, 2**31 - 1, "the clock rate"),
        line.number_in(channels or "1", 1, 255, "the number of channels"),
    )


def _fmtp(draft: SectionDraft, line: Line) -> None:
    number, _, text = line.value.partition(" ")
    payload_type = _payload_type(draft, line, number)
    if payload_type in draft.parameters:
        raise line.error("stands twice for a payload type")
    parts = [part.strip(" ") for part in text.split(";", _MAX_PARAMETERS)]
    if len(parts) > _MAX_PARAMETERS:
        raise line.error(f"has more than {_MAX_PARAMETERS} parameters")
    parameters: list[tuple[str, str | None]] = []
    for part in filter(None, parts):
        name, equals, value = part.partition("=")
        if not (value.isascii() and value.isprintable()):
            raise line.error("a parameter's value must be printable ASCII")
        parameters.append((line.visible(name, 64, "a parameter").lower(), value if equals else None))
    draft.parameters[payload_type] = tuple(parameters)


def _rtcp_fb(draft: SectionDraft, line: Line) -> None:
    number, *words = line.words(2, 8)
    feedback = _FEEDBACK.get(" ".join(words))
    if number == "*":
        known = draft.feedback_of_all
    else:
        known = draft.feedback.setdefault(_payload_type(draft, line, number), set())
    if feedback is not None:
        known.add(feedback)


def _extmap(draft: SectionDraft, line: Line) -> None:
    number, uri, *_ = line.words(2, 32)
    number, slash, direction = number.partition("/")
    if slash and direction not in _DIRECTIONS:
        raise line.error("has an unknown direction")
    extension = Extension(
        line.number_in(number, 1, 4351, "the id"),
        line.visible(uri, 256, "the URI"),
        _DIRECTIONS[direction] if slash else None,
    )
    if extension.id in draft.extensions:
        raise line.error("gives an id twice")
    if len(draft.extensions) >= draft.limits.extensions:
        raise line.error(f"stands more than {draft.limits.extensions} times")
    draft.extensions[extension.id] = extension


def _rid_name(line: Line, text: str) -> str:
    if 0 < len(text) <= MAX_RID and _RID.issuperset(text):
        return text
    raise line.error(f"a rid must be at most {MAX_RID} letters, digits, - and _")


def _rid(draft: SectionDraft, line: Line) -> None:
    name, direction, *rest = line.words(2, 3)
    name = _rid_name(line, name)
    if direction not in ("send", "recv"):
        raise line.error("the direction must be send or recv")
    if name in draft.rids:
        raise line.error("stands twice for a rid")
    if len(draft.rids) >= draft.limits.rids:
        raise line.error(f"stands more than {draft.limits.rids} times")
    payload_types: tuple[int, ...] = ()
    restrictions: list[tuple[str, str]] = []
    for part in rest[0].split(";") if rest else ():
        key, _, value = part.partition("=")
        if key == "pt":
            payload_types = tuple(_payload_type(draft, line, number) for number in value.split(","))
        else:
            key = line.token(key, 32, "a restriction")
            restrictions.append((key, line.visible(value, 64, "a restriction's value")))
    draft.rids[name] = Rid(name, direction == "send", payload_types, tuple(restrictions))


def _simulcast(draft: SectionDraft, line: Line) -> None:
    words = line.words(2, 4)
    lists: dict[str, tuple[SimulcastStream, ...]] = {}
    for direction, text in zip(words[::2], words[1::2], strict=False):
        lists[direction] = tuple(_stream(line, part) for part in text.split(";", draft.limits.rids))
    if len(words) != 2 * len(lists) or not lists.keys() <= {"send", "recv"}:
        raise line.error("must be send or recv, or both, each with its list")
    if sum(map(len, lists.values())) > draft.limits.rids:
        raise line.error(f"has more than {draft.limits.rids} streams")
    draft.simulcast = Simulcast(lists.get("send", ()), lists.get("recv", ()))


def _stream(line: Line, text: str) -> SimulcastStream:
    """A stream counts as paused when its first choice is; in RFC 8853 each alternative has its own mark."""
    names = text.split(",", MAX_RID)
    return SimulcastStream(
        tuple(_rid_name(line, name.removeprefix("~")) for name in names), names[0].startswith("~")
    )


def _msid(draft: SectionDraft, line: Line) -> None:
    stream, *track = line.words(1, 2)
    if len(draft.msids) >= _MAX_GROUP:
        raise line.error(f"stands more than {_MAX_GROUP} times")
    draft.msids.append(
        Msid(line.token(stream, 64, "the stream"), line.token(track[0], 64, "the track") if track else None)
    )


def _ssrc(draft: SectionDraft, line: Line) -> None:
    number, _, text = line.value.partition(" ")
    ssrc = line.number_in(number, 0, MAX_SSRC, "the SSRC")
    name, _, value = text.partition(":")
    known = draft.sources.get(ssrc)
    if known is None and len(draft.sources) >= draft.limits.sources:
        raise line.error(f"names more than {draft.limits.sources} SSRCs")
    if name == "cname":
        draft.sources[ssrc] = Source(ssrc, line.visible(value, 255, "the CNAME"))
    elif known is None:
        draft.sources[ssrc] = Source(ssrc)


def _ssrc_group(draft: SectionDraft, line: Line) -> None:
    semantics, *ssrcs = line.words(2, _MAX_GROUP + 1)
    if len(draft.source_groups) >= draft.limits.sources:
        raise line.error(f"stands more than {draft.limits.sources} times")
    draft.source_groups.append(
        SourceGroup(
            line.token(semantics, 32, "the semantics"),
            tuple(line.number_in(ssrc, 0, MAX_SSRC, "the SSRC") for ssrc in ssrcs),
        )
    )


def _of_transport(
    reader: Callable[[TransportDraft, Line], None],
) -> Callable[[SessionDraft | SectionDraft, Line], None]:
    return lambda draft, line: reader(draft.transport, line)


_TRANSPORT: dict[str, Callable[[SessionDraft | SectionDraft, Line], None]] = {
    "ice-ufrag": _of_transport(_ufrag),
    "ice-pwd": _of_transport(_pwd),
    "fingerprint": _of_transport(_fingerprint),
    "setup": _of_transport(_setup),
    **dict.fromkeys(_DIRECTIONS, _direction),
}
SESSION: Mapping[str, Callable[[SessionDraft, Line], None]] = {
    **_TRANSPORT,
    "group": _group,
    "ice-lite": _ice_lite,
    "extmap-allow-mixed": _session_allow_mixed,
}
SECTION: Mapping[str, Callable[[SectionDraft, Line], None]] = {
    **_TRANSPORT,
    **dict.fromkeys(
        ("rtcp-mux", "rtcp-rsize", "bundle-only", "extmap-allow-mixed", "end-of-candidates"), _flag
    ),
    "mid": _mid,
    "candidate": _candidate,
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "rtcp-fb": _rtcp_fb,
    "extmap": _extmap,
    "rid": _rid,
    "simulcast": _simulcast,
    "msid": _msid,
    "ssrc": _ssrc,
    "ssrc-group": _ssrc_group,
}
_REPEATED = frozenset(
    {
        "group",
        "fingerprint",
        "candidate",
        "rtpmap",
        "fmtp",
        "rtcp-fb",
        "extmap",
        "rid",
        "msid",
        "ssrc",
        "ssrc-group",
    }
)
_ANY_PROTOCOL = frozenset({*_TRANSPORT, "mid", "bundle-only", "candidate", "end-of-candidates"})
