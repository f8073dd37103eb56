"""The connection with the SFU: this side always offers, and says what each receiving section is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from callcluster_common.messages.client import OfferData
from callcluster_common.messages.server import Track

from callcluster_probe.e2ee.frames import SOURCES, Source
from callcluster_probe.tracks import Tap, tap
from callcluster_probe.transport import IceSettings, Transport, one_error

SETTLE_S = 0.02

OnFrame = Callable[[str, Source, bytes], None]


def source_of(track: Track) -> Source | None:
    """What a published track is, by its section at its sender; ``None`` where no client has such a one."""
    for place, source in enumerate(SOURCES):
        if track.mid == str(place) and (source == "mic") == (track.kind == "audio"):
            return source
    return None


class SFULink(Transport):
    """One route to the SFU.

    Args:
        route: its name, from the SFU.
        ice: servers and policy.
        sends: what this side publishes. The place of a section says what it is, so they come in
            the order of ``SOURCES``, and none is left out.
        on_frame: called with the sender, the source and the sealed frame, in the event loop.
        on_key_frame: somebody asks for a key frame.
    """

    def __init__(
        self,
        route: str,
        ice: IceSettings,
        sends: Sequence[Source],
        on_frame: OnFrame,
        on_key_frame: Callable[[], None],
    ) -> None:
        super().__init__(ice, on_key_frame, lambda state: None)
        assert tuple(sends) == SOURCES[: len(sends)]
        self.route_name = route
        self._on_frame = on_frame
        self._seq = 0
        self._mids: dict[str, str] = {}
        self._taps: dict[tuple[str, Source], Tap] = {}
        for source in sends:
            self._publish(source, "sendonly")
        self._begin()

    def covers(self, tracks: Sequence[Track]) -> bool:
        """Whether each of the tracks has a section already."""
        return all(track.track in self._mids for track in tracks if source_of(track) is not None)

    async def offer(self, tracks: Sequence[Track]) -> OfferData:
        """The next offer, which wants exactly ``tracks``; those of an unknown source are left out.

        Raises:
            NegotiationError: the connection is gone.
        """
        made = {}
        for track in tracks:
            source = source_of(track)
            if source is not None and track.track not in self._mids:
                transceiver = self._receive(track.kind)
                self._taps[track.sid, source] = tap(
                    transceiver.receiver, source, self._frames_of(track.sid)
                )
                made[track.track] = transceiver
        with one_error("making an offer"):
            sdp = await self._describe(await self._connection.createOffer())
        self._mids.update({name: transceiver.mid or "" for name, transceiver in made.items()})
        self._seq += 1
        wants = {self._mids[track.track]: track.track for track in tracks if track.track in self._mids}
        return OfferData(sdp, route=self.route_name, seq=self._seq, wants=wants)

    async def accept(self, answer: str) -> None:
        """Take the answer to the latest offer, and wait until the connection stands, or has failed.

        Raises:
            NegotiationError: the answer is not usable.
        """
        await self._set_remote(candidates_everywhere(answer), "answer")
        if not self._remote_ended:
            await self._end_remote()
        # aiortc never connects where another description comes in between.
        while self.state in ("new", "connecting"):
            await asyncio.sleep(SETTLE_S)

    def want_key_frame(self, sid: str, source: Source) -> None:
        """Ask for a key frame of a sender when its next packet comes."""
        asked = self._taps.get((sid, source))
        if asked:
            asked.key_frame_wanted = True

    def _frames_of(self, sid: str) -> Callable[[Source, bytes], None]:
        return lambda source, frame: self._on_frame(sid, source, frame)


def candidates_everywhere(answer: str) -> str:
    """The answer with its candidates in all sections: of a bundle, aiortc heeds those of the last one."""
    session, *sections = answer.split("\r\nm=")
    candidates = [line for line in answer.split("\r\n") if line.startswith("a=candidate:")]
    bare = [[line for line in section.split("\r\n") if line not in candidates] for section in sections]
    full = ["\r\n".join([*section[:-1], *candidates, section[-1]]) for section in bare]
    return "\r\nm=".join([session, *full])
