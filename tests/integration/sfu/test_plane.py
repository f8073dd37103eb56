"""The boundary to the packet plane: each command in its words, and its news as values."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from callcluster_sfu.negotiation import (
    AddLeg,
    AddPeer,
    AddTrack,
    AimLeg,
    Command,
    Encoding,
    ExtensionIds,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
    RestartIce,
    SetExtensions,
)
from kit.eventually import eventually
from kit.sfu_process import NEEDS_PLANE

pytestmark = NEEDS_PLANE

ANN = AddPeer(1, "ann-ufrag", "p" * 24, bytes(32), ExtensionIds(mid=4))
BOB = AddPeer(2, "bob-ufrag", "p" * 24, bytes(32), ExtensionIds(mid=4))
TRACK = AddTrack(7, 1, "video", "0", "vp8", 96, 97, (Encoding("q"), Encoding("h", 11, 12)))
LEG = AddLeg(9, 2, 7, "3", 96, 1_001, (1_002, 97))
LIFE: list[Command] = [
    ANN,
    BOB,
    RestartIce(1, "ann-again", "q" * 24),
    SetExtensions(1, ExtensionIds(mid=4, rid=10, dependency=12)),
    TRACK,
    LEG,
    AimLeg(9, 1),
    AimLeg(9, None),
    RemoveLeg(9),
    RemoveTrack(7),
    RemovePeer(2),
    RemovePeer(1),
]


class Rig:
    """A plane on loopback, and all its news."""

    def __init__(self) -> None:
        # Imported here: without the plane's wheel there is nothing to test.
        from callcluster_sfu import identity
        from callcluster_sfu.health import Credentials
        from callcluster_sfu.plane import News, PacketPlane

        self.news: list[News] = []

        def start(port: int) -> PacketPlane:
            return PacketPlane(
                "127.0.0.1",
                port,
                identity=identity.make(),
                health=Credentials(),
                buffer_bytes=65_536,
                max_peers=2,
                on_news=self.news.append,
            )

        self.start = start
        self.plane = start(0)

    async def refusals(self, *commands: Command) -> list[tuple[Command, str]]:
        """What the plane did not carry out of ``commands``."""
        from callcluster_sfu.plane import Refused

        for command in commands:
            self.plane.carry_out(command)
        # Answers come in the order of the questions.
        await self.plane.statistics()
        return [(news.command, news.why) for news in self.news if isinstance(news, Refused)]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    made.plane.close()


async def test_every_command_of_a_calls_life_is_carried_out(rig: Rig) -> None:
    assert await rig.refusals(*LIFE) == []
    assert (await rig.plane.statistics())["peers"] == 0


async def test_a_command_that_makes_no_sense_comes_back_with_the_reason(rig: Rig) -> None:
    eve = AddPeer(3, "eve-ufrag", "p" * 24, bytes(32), ExtensionIds())
    assert await rig.refusals(ANN, RemoveLeg(5), BOB, eve) == [
        (RemoveLeg(5), "unknown-name"),
        (eve, "too-many"),
    ]


async def test_a_port_that_is_taken_is_an_error_in_words(rig: Rig) -> None:
    from callcluster_sfu.plane import PlaneError

    with pytest.raises(PlaneError, match="in use"):
        rig.start(rig.plane.port)


async def test_the_port_is_free_again_after_the_end(rig: Rig) -> None:
    other = rig.start(0)
    port = other.port
    other.close()
    again = await eventually(lambda: rig.start(port))
    again.close()
