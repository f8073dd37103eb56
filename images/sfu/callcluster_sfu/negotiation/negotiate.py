"""From an offer to the answer and the plane's commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from callcluster_sfu.negotiation.admissible import check_bundle, check_succession, remote_of
from callcluster_sfu.negotiation.answering import Answering
from callcluster_sfu.negotiation.commands import (
    AddPeer,
    Command,
    RemoveLeg,
    RemoveTrack,
    RestartIce,
    SetExtensions,
)
from callcluster_sfu.negotiation.matching import ids_of
from callcluster_sfu.negotiation.numbers import Numbers
from callcluster_sfu.negotiation.policy import Forward, HostAddress, Policy
from callcluster_sfu.negotiation.state import Agreed, Negotiated
from callcluster_sfu.sdp.error import SdpError
from callcluster_sfu.sdp.values import (
    Candidate,
    Description,
    IceCredentials,
    Origin,
    Section,
    Setup,
    Transport,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an offer led to."""

    state: Negotiated
    answer: Description
    commands: tuple[Command, ...]
    """In the order to carry them out."""
    unserved: tuple[str, ...]
    """Mids that wished for more than they got: no codec in common, or too many tracks published."""


def negotiate(
    before: Negotiated,
    offer: Description,
    *,
    policy: Policy,
    forwards: Mapping[str, Forward],
    fresh: IceCredentials,
    numbers: Numbers,
) -> Outcome:
    """Answers ``offer``.

    Args:
        before: what was agreed until now; it stays as it is when the offer is refused.
        offer: from the client.
        policy: of this SFU.
        forwards: for each receiving section, by mid, the track that it shall carry. The caller sees to
            it that the peer may have that track. A receiving section without one is answered as inactive.
        fresh: unguessable credentials, used if this is the first offer or an ICE restart.
        numbers: of the plane.

    Raises:
        SdpError: the offer breaks a rule, or changes what the one before it has settled.
    """
    bundle = check_bundle(offer)
    remote = remote_of(offer, bundle)
    check_succession(before, offer, remote)
    if not forwards.keys() <= set(bundle):
        raise SdpError("tracks", "are bound to a section that the offer has not, or refuses")
    local = before.local_ice if before.local_ice is not None and remote.ice == before.remote_ice else fresh
    answering = Answering(
        before, offer, policy, forwards, numbers, dict(before.formats), dict(before.extensions)
    )
    sections: list[Section] = []
    agreed: list[Agreed] = []
    for index, section in enumerate(offer.sections):
        answered, now = answering.section(index, section)
        sections.append(answered)
        agreed.append(now)
    if not any(section.open for section in agreed):
        raise SdpError("description", "has no section that the SFU takes: Opus, VP8 or VP9")
    after = replace(
        before,
        version=before.version + 1,
        remote_origin=offer.origin,
        local_ice=local,
        remote_ice=remote.ice,
        remote_fingerprint=remote.fingerprint,
        sections=tuple(agreed),
        formats=answering.formats,
        extensions=answering.extensions,
    )
    answer = _description(after, offer, policy, sections, bundle)
    return Outcome(
        after, answer, (*_transport(before, after), *_changes(before, after)), tuple(answering.unserved)
    )


def _transport(before: Negotiated, after: Negotiated) -> list[Command]:
    assert after.local_ice is not None  # it is set by the first offer
    ids = ids_of(after.extensions)
    ice = after.local_ice
    if before.local_ice is None:
        return [AddPeer(after.peer, ice.ufrag, ice.pwd, after.remote_fingerprint, ids)]
    commands: list[Command] = []
    if ice != before.local_ice:
        commands.append(RestartIce(after.peer, ice.ufrag, ice.pwd))
    if ids != ids_of(before.extensions):
        commands.append(SetExtensions(after.peer, ids))
    return commands


def _changes(before: Negotiated, after: Negotiated) -> list[Command]:
    old_legs, new_legs = set(before.legs), set(after.legs)
    old_tracks, new_tracks = set(before.published), set(after.published)
    return [
        *(RemoveLeg(leg.leg) for leg in before.legs if leg not in new_legs),
        *(RemoveTrack(track.track) for track in before.published if track not in new_tracks),
        *(track for track in after.published if track not in old_tracks),
        *(leg for leg in after.legs if leg not in old_legs),
    ]


def _description(
    state: Negotiated, offer: Description, policy: Policy, sections: list[Section], bundle: tuple[str, ...]
) -> Description:
    open_mids = {section.mid for section in sections if not section.refused}
    kept = tuple(mid for mid in bundle if mid in open_mids)
    candidates = tuple(_candidate(address, rank) for rank, address in enumerate(policy.addresses))
    return Description(
        Origin(state.session, state.version),
        tuple(
            replace(section, candidates=candidates, end_of_candidates=True)
            if section.mid == kept[0]
            else section
            for section in sections
        ),
        bundles=(kept,),
        ice_lite=True,
        allow_mixed=offer.allow_mixed,
        transport=Transport(state.local_ice, (policy.fingerprint,), Setup.PASSIVE),
    )


def _candidate(address: HostAddress, rank: int) -> Candidate:
    """A host candidate; earlier ones get a higher local preference (RFC 8445 section 5.1.2.1)."""
    priority = (126 << 24) | ((65_535 - rank) << 8) | 255
    return Candidate(str(rank + 1), 1, "udp", priority, address.address, address.port, "host")
