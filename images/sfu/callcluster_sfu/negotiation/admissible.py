"""What an offer must keep to as a whole, by itself and after the one before it."""

from __future__ import annotations

from dataclasses import dataclass

from callcluster_sfu.negotiation.state import Agreed, Negotiated
from callcluster_sfu.sdp.error import SdpError
from callcluster_sfu.sdp.values import Description, IceCredentials, Section, Setup, Transport


@dataclass(frozen=True, slots=True)
class Remote:
    """The client's end of the transport."""

    ice: IceCredentials
    fingerprint: bytes
    """SHA-256."""


def check_bundle(offer: Description) -> tuple[str, ...]:
    """The mids of the one transport, that of its attributes first (RFC 9143).

    Raises:
        SdpError: a section is outside of the group, or a name in the group has no live section.
    """
    if len(offer.bundles) != 1:
        raise SdpError("description", "needs one a=group:BUNDLE line: everything shares one transport")
    bundle = offer.bundles[0]
    names = frozenset(bundle)
    live: set[str] = set()
    for index, section in enumerate(offer.sections):
        if section.refused:
            continue
        if section.mid is None or section.mid not in names:
            raise SdpError(f"section {index}", "must have a mid that is in the BUNDLE group")
        live.add(section.mid)
    if live != names or not live:
        raise SdpError("a=group", "must name live sections, and at least one")
    return bundle


def remote_of(offer: Description, bundle: tuple[str, ...]) -> Remote:
    """The transport that the offer describes.

    Raises:
        SdpError: it lacks a part, its sections differ, or the SFU would have to be the DTLS client.
    """
    if offer.ice_lite:
        raise SdpError("a=ice-lite", "both ends can't be ICE-lite: the client must be a full agent")
    by_mid = {section.mid: index for index, section in enumerate(offer.sections)}
    first = by_mid[bundle[0]]
    remote = _remote(_filled(offer.sections[first].transport, offer.transport), first)
    for mid in bundle[1:]:
        index = by_mid[mid]
        # A bundled section need not repeat what the first one says, and Firefox repeats a part of it.
        own = _filled(
            _filled(offer.sections[index].transport, offer.transport), offer.sections[first].transport
        )
        if _remote(own, index) != remote:
            raise SdpError(
                f"section {index}", "has other ICE or DTLS attributes than the first of its BUNDLE group"
            )
    return remote


def _filled(transport: Transport, other: Transport) -> Transport:
    """``transport``, with what it lacks from ``other``."""
    return Transport(
        transport.ice or other.ice,
        transport.fingerprints or other.fingerprints,
        transport.setup or other.setup,
    )


def _remote(transport: Transport, index: int) -> Remote:
    place = f"section {index}"
    if transport.ice is None:
        raise SdpError(place, "needs a=ice-ufrag and a=ice-pwd")
    digests = {hashed.algorithm: hashed.digest for hashed in transport.fingerprints}
    if "sha-256" not in digests:
        raise SdpError(place, "needs a=fingerprint with sha-256")
    if transport.setup not in (Setup.ACTPASS, Setup.ACTIVE):
        raise SdpError(place, "a=setup must be actpass or active: the SFU is the DTLS server")
    return Remote(transport.ice, digests["sha-256"])


def check_succession(before: Negotiated, offer: Description, remote: Remote) -> None:
    """Holds a later offer to what RFC 8829 section 5.2.2 lets it change.

    Raises:
        SdpError: it is older than the last, lost or moved a section, or swapped the DTLS identity.
    """
    last = before.remote_origin
    if last is None:
        return
    if offer.origin.session == last.session and offer.origin.version < last.version:
        raise SdpError("line 2, o=", "is older than the offer that was answered last")
    if len(offer.sections) < len(before.sections):
        raise SdpError("description", "has fewer sections than the last offer")
    for index, (known, section) in enumerate(zip(before.sections, offer.sections, strict=False)):
        _check_section(known, section, index)
    if remote.fingerprint != before.remote_fingerprint:
        raise SdpError("a=fingerprint", "can't change on a connection: make a new one")
    if before.remote_ice is not None and remote.ice != before.remote_ice:
        known_ice = before.remote_ice
        if remote.ice.ufrag == known_ice.ufrag or remote.ice.pwd == known_ice.pwd:
            raise SdpError("a=ice-ufrag", "an ICE restart must change both ice-ufrag and ice-pwd")


def _check_section(known: Agreed, section: Section, index: int) -> None:
    if not known.open:
        return
    if section.kind != known.kind:
        raise SdpError(f"section {index}", "can't change its medium while it is in use")
    if section.mid != known.mid and not (section.refused and section.mid is None):
        raise SdpError(f"section {index}", "can't change its mid while it is in use")
