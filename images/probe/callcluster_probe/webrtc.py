"""The connection to one other member, for encoded frames that are sealed already."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aioice import Candidate
from aiortc.sdp import candidate_from_sdp
from callcluster_common.messages.client import IceData
from callcluster_common.messages.types import IceCandidate

from callcluster_probe.e2ee.frames import SOURCES, Source
from callcluster_probe.tracks import Tap, tap
from callcluster_probe.transport import IceSettings, Transport, kind_of, one_error


class PeerLink(Transport):
    """A connection with three media sections, in the order of ``SOURCES``.

    Args:
        ice: servers and policy.
        sends: the sources that this side will send; it receives all.
        on_frame: called with the source and the sealed frame, in the event loop.
        on_key_frame: the other side asks for a key frame.
        on_state: called with ``connected``, ``failed`` or ``closed``.
        on_candidates: called with what is to be told to the other side behind a description.
    """

    def __init__(
        self,
        ice: IceSettings,
        sends: Collection[Source],
        on_frame: Callable[[Source, bytes], None],
        on_key_frame: Callable[[], None],
        on_state: Callable[[str], None],
        on_candidates: Callable[[IceData], None],
    ) -> None:
        super().__init__(ice, on_key_frame, on_state)
        self._on_candidates = on_candidates
        self._taps: dict[Source, Tap] = {}
        self._remote_sdp = ""
        self._described = False
        for source in SOURCES:
            sent = source in sends
            transceiver = self._publish(source, "sendrecv") if sent else self._receive(kind_of(source))
            self._taps[source] = tap(transceiver.receiver, source, on_frame)
        self._begin()

    @property
    def awaits_answer(self) -> bool:
        """Whether this side has an offer standing."""
        return self._connection.signalingState == "have-local-offer"

    async def offer(self) -> str:
        """An offer with the candidates that are known at once; with relays alone, with those.

        Raises:
            NegotiationError: the connection is gone.
        """
        with one_error("making an offer"):
            sdp = await self._describe(await self._connection.createOffer())
        self._described = True
        return sdp

    async def answer(self, offer: str) -> str:
        """Answer an offer, with candidates as in ``offer``.

        Raises:
            NegotiationError: the offer is not usable.
        """
        await self._take(offer, "offer")
        with one_error("making an answer"):
            sdp = await self._describe(await self._connection.createAnswer())
        self._described = True
        return sdp

    async def accept(self, answer: str) -> None:
        """Take the answer to this side's offer.

        Raises:
            NegotiationError: the answer is not usable.
        """
        await self._take(answer, "answer")

    def same_transport(self, offer: str) -> bool:
        """Whether ``offer`` goes on with the present transport; aiortc can't restart ICE."""
        return bool(self._remote_sdp) and _transport_of(offer) == _transport_of(self._remote_sdp)

    async def add_candidates(self, candidates: list[IceCandidate], end: bool) -> None:
        """Add trickled candidates; what is none, or of another description, is ignored, as browsers do.

        Raises:
            NegotiationError: the connection is gone.
        """
        for candidate in candidates:
            if not candidate.candidate:
                end = True
                continue
            if candidate.username_fragment and candidate.username_fragment != self._remote_username():
                continue
            try:
                parsed = candidate_from_sdp(candidate.candidate.removeprefix("candidate:"))
            except (ValueError, IndexError, AssertionError):
                continue
            parsed.sdpMid, parsed.sdpMLineIndex = candidate.sdp_mid, candidate.sdp_m_line_index
            with one_error("adding a candidate"):
                await self._connection.addIceCandidate(parsed)
        if end:
            await self._end_remote()

    def want_key_frame(self, source: Source) -> None:
        """Ask the other side for a key frame when its next packet comes."""
        self._taps[source].key_frame_wanted = True

    async def _take(self, sdp: str, kind: str) -> None:
        await self._set_remote(sdp, kind)
        self._remote_sdp = sdp

    def _remote_username(self) -> str:
        lines = (line.partition("a=ice-ufrag:") for line in self._remote_sdp.splitlines())
        return next((name for _, label, name in lines if label), "")

    def _found(self, candidate: Candidate) -> None:
        if self._described:
            mid = self._connection.getTransceivers()[0].mid
            told = IceCandidate(f"candidate:{candidate.to_sdp()}", mid, 0, self._ice.local_username)
            self._on_candidates(IceData([told]))

    async def _found_all(self) -> None:
        if self._described:
            self._on_candidates(IceData(end=True))
        await super()._found_all()


def _transport_of(sdp: str) -> frozenset[str]:
    """What names a transport: ICE user fragment and certificate."""
    return frozenset(
        line for line in sdp.splitlines() if line.startswith(("a=ice-ufrag:", "a=fingerprint:"))
    )
