"""Links between two members, signaling played by the test: crossing offers, lost ones, starting anew."""

import asyncio
from contextlib import asynccontextmanager

from callcluster_common.messages.client import Answer, Empty, Ice, Offer, Restart
from callcluster_common.messages.server import AnswerRelay, IceRelay, OfferRelay, RestartRelay
from callcluster_probe import link as links
from callcluster_probe.link import Link
from callcluster_probe.transport import IceSettings
from callcluster_probe.webrtc import PeerLink
from kit.eventually import eventually


class Pair:
    """Two links; frames go from one to the other, unless they are held back."""

    def __init__(self, servers=()):
        self.servers = servers
        self.lost = []
        self.lose = False
        self.frames = []
        self.one = Link("other-001", True, self._connect, lambda frame: self._carry(frame, "other"))
        self.other = Link("first-001", False, self._connect, lambda frame: self._carry(frame, "one"))

    def _connect(self, on_state, on_candidates):
        return PeerLink(
            IceSettings(self.servers),
            ("mic",),
            lambda *frame: self.frames.append(frame),
            lambda: None,
            on_state,
            on_candidates,
        )

    def _carry(self, frame, to):
        relays = {Offer: OfferRelay, Answer: AnswerRelay, Ice: IceRelay, Restart: RestartRelay}
        if self.lose:
            self.lost.append(frame)
        else:
            getattr(self, to).receive(relays[type(frame)](d=frame.d))

    async def up(self):
        await eventually(lambda: self.one.connected and self.other.connected, within=20)

    async def talks(self):
        self.frames.clear()

        def check():
            self.one.send("mic", b"one", 960)
            self.other.send("mic", b"other", 960)
            return {frame for _, frame in self.frames} == {b"one", b"other"}

        await eventually(check)


@asynccontextmanager
async def pair():
    made = Pair()
    try:
        yield made
    finally:
        await asyncio.gather(made.one.close(), made.other.close())


async def test_who_joined_later_offers_and_both_talk():
    async with pair() as two:
        await two.up()
        await two.talks()


async def test_a_new_start_replaces_the_connection_without_a_silence():
    async with pair() as two:
        await two.up()
        old = two.one.connection
        two.one.start_anew()
        while two.one.connection is old:
            assert two.one.connected
            await asyncio.sleep(0.01)
        await two.up()
        await two.talks()
        await eventually(lambda: old.state == "closed")


async def test_the_other_side_can_ask_for_a_new_start():
    async with pair() as two:
        await two.up()
        old = two.one.connection
        two.one.receive(RestartRelay(d=Empty()))
        await eventually(lambda: two.one.connection is not old and two.one.connected)
        await two.talks()


async def test_crossing_offers_end_in_one_connection():
    async with pair() as two:
        await two.up()
        old = {two.one.connection, two.other.connection}
        for each in (two.one, two.other):
            each.receive(RestartRelay(d=Empty()))
        await eventually(lambda: not old & {two.one.connection, two.other.connection}, within=20)
        await two.up()
        await two.talks()


async def test_a_lost_first_offer_is_asked_for_again(monkeypatch):
    monkeypatch.setattr(links, "ANSWER_WITHIN_S", 0.3)
    async with pair() as two:
        two.lose = True
        await eventually(lambda: two.lost)
        assert isinstance(two.lost[0], Offer)
        two.lose = False
        await two.up()
        await two.talks()


async def test_a_first_offer_that_can_not_be_made_is_made_again(monkeypatch):
    monkeypatch.setattr(links, "ANSWER_WITHIN_S", 0.3)
    offer, failures = PeerLink.offer, [links.NegotiationError("not now"), links.NegotiationError("nor now")]

    async def failing(connection):
        if failures:
            raise failures.pop()
        return await offer(connection)

    monkeypatch.setattr(PeerLink, "offer", failing)
    async with pair() as two:
        await two.up()
        await two.talks()


async def test_an_offer_that_is_none_does_no_harm():
    async with pair() as two:
        await two.up()
        two.other.receive(OfferRelay(d=links.DescriptionData("nonsense")))
        await eventually(lambda: two.other.trouble)
        await two.talks()
