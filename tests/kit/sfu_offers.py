"""Offers of a client to the SFU, and an SFU side to answer them in tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from callcluster_sfu.negotiation import (
    Forward,
    HostAddress,
    Negotiated,
    Numbers,
    Outcome,
    Policy,
    negotiate,
)
from callcluster_sfu.negotiation.policy import (
    AUDIO_LEVEL,
    DEPENDENCY,
    MID,
    REPAIRED_RID,
    RID,
    TRANSPORT_SEQUENCE,
)
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import (
    Codec,
    Description,
    Direction,
    Extension,
    Feedback,
    Fingerprint,
    IceCredentials,
    Origin,
    Rid,
    Section,
    Setup,
    Simulcast,
    SimulcastStream,
    Source,
    SourceGroup,
    Transport,
)

POLICY = Policy(
    (HostAddress("192.0.2.1", 10_000), HostAddress("198.51.100.7", 10_000)),
    Fingerprint("sha-256", bytes(32)),
)
CLIENT = Transport(
    IceCredentials("abcd", "p" * 24), (Fingerprint("sha-256", bytes(range(32))),), Setup.ACTPASS
)
RESTARTED = replace(CLIENT, ice=IceCredentials("efgh", "q" * 24))
PROTOCOL = "UDP/TLS/RTP/SAVPF"


def audio(mid: str, direction: Direction = Direction.SENDONLY, *, ssrc: int = 0) -> Section:
    """Opus as a browser offers it; ``ssrc`` 0 names none."""
    return Section(
        "audio",
        9,
        PROTOCOL,
        ("111",),
        mid=mid,
        direction=direction,
        rtcp_mux=True,
        codecs=(
            Codec(
                111,
                "opus",
                48_000,
                2,
                (("minptime", "10"), ("useinbandfec", "1")),
                frozenset({Feedback.TRANSPORT_CC}),
            ),
        ),
        extensions=(Extension(1, AUDIO_LEVEL), Extension(3, TRANSPORT_SEQUENCE), Extension(4, MID)),
        sources=(Source(ssrc, "c"),) if ssrc else (),
    )


def video(
    mid: str,
    direction: Direction = Direction.SENDONLY,
    *,
    ssrc: int = 0,
    rids: tuple[str, ...] = (),
    codecs: tuple[str, ...] = ("VP8", "VP9"),
) -> Section:
    """Codecs with their RTX, from payload type 96 on for VP8 and 98 for VP9; ``ssrc`` 0 names none."""
    types = {"VP8": 96, "VP9": 98, "H264": 102, "AV1": 45}
    listed: list[Codec] = []
    for name in codecs:
        listed.append(Codec(types[name], name, 90_000, feedback=frozenset(Feedback)))
        listed.append(Codec(types[name] + 1, "rtx", 90_000, parameters=(("apt", str(types[name])),)))
    return Section(
        "video",
        9,
        PROTOCOL,
        tuple(str(codec.payload_type) for codec in listed),
        mid=mid,
        direction=direction,
        rtcp_mux=True,
        rtcp_rsize=True,
        codecs=tuple(listed),
        extensions=(
            Extension(3, TRANSPORT_SEQUENCE),
            Extension(4, MID),
            Extension(10, RID),
            Extension(11, REPAIRED_RID),
            Extension(12, DEPENDENCY),
        ),
        rids=tuple(Rid(rid, sends=True) for rid in rids),
        simulcast=Simulcast(send=tuple(SimulcastStream((rid,)) for rid in rids)) if rids else None,
        sources=(Source(ssrc, "c"), Source(ssrc + 1, "c")) if ssrc else (),
        source_groups=(SourceGroup("FID", (ssrc, ssrc + 1)),) if ssrc else (),
    )


def stopped(section: Section) -> Section:
    """As a browser offers it once its transceiver was stopped."""
    return replace(section, port=0, direction=Direction.INACTIVE)


def offer(
    *sections: Section, version: int = 1, transport: Transport = CLIENT, allow_mixed: bool = True
) -> Description:
    """A whole offer; everything that is alive is bundled."""
    return Description(
        Origin(77, version),
        sections,
        (tuple(section.mid for section in sections if section.mid is not None and not section.refused),),
        allow_mixed=allow_mixed,
        transport=transport,
    )


@dataclass
class SfuSide:
    """One client's connection at an SFU: keeps what was agreed from offer to offer."""

    policy: Policy = POLICY
    numbers: Numbers = field(default_factory=lambda: Numbers(1_000))
    state: Negotiated = field(default_factory=lambda: Negotiated(peer=1, session=5))
    answers: int = 0

    def answer(self, given: Description, forwards: Mapping[str, Forward] | None = None) -> Outcome:
        """Negotiates and remembers."""
        self.answers += 1
        outcome = negotiate(
            self.state,
            given,
            policy=self.policy,
            forwards=forwards or {},
            fresh=IceCredentials(f"ufrag{self.answers}", f"{self.answers}" * 24),
            numbers=self.numbers,
        )
        self.state = outcome.state
        return outcome

    def answer_text(self, given: Description, forwards: Mapping[str, Forward] | None = None) -> str:
        """The answer as the client gets it."""
        return serialize(self.answer(given, forwards).answer)
