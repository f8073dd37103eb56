"""What an SFU could record: nothing to see or hear, and all of it where the same call is not encrypted."""

from __future__ import annotations

import secrets

import pytest
from callcluster_probe.e2ee.frames import Source
from callcluster_probe.member import MemberSettings
from kit.eventually import eventually
from kit.hostile_capture import Capture, PlainMember, Talker, heard, seen
from kit.redis_server import RedisServer
from kit.sfu_process import NEEDS_PLANE, sfu
from kit.signaling_server import SignalingProcess

pytestmark = [pytest.mark.redis, pytest.mark.timeout(180), NEEDS_PLANE]

PICTURES, SOUNDS = 20, 80
BOTH: tuple[Source, ...] = ("mic", "cam")


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "the control, in clear"])
async def test_what_an_sfu_hands_on_can_be_decoded_only_where_it_is_not_encrypted(
    redis_server: RedisServer, pod: SignalingProcess, encrypted: bool
) -> None:
    room, secret = f"captured-{secrets.token_hex(6)}", secrets.token_bytes(32)

    def settings(secret: bytes, sends: tuple[Source, ...] = ("mic",)) -> MemberSettings:
        return MemberSettings((pod.url,), room, secret, sends=sends)

    with sfu(redis_server.url):
        spy = Talker(settings(secrets.token_bytes(32)), Capture)
        talker = (
            Talker(settings(secret, BOTH)) if encrypted else Talker(settings(secret, BOTH), PlainMember)
        )
        friend = Talker(settings(secret))
        callers = (talker, friend, spy)
        try:
            for caller in callers:
                await caller.join(30)
            sid, capture = talker.member.sid, spy.member
            assert isinstance(capture, Capture)
            await eventually(
                lambda: len(capture.of(sid, "cam")) > PICTURES and len(capture.of(sid, "mic")) > SOUNDS,
                within=60,
            )
            opened = friend.counts(sid).opened
        finally:
            for caller in callers:
                await caller.close()
    pictures, sounds = capture.of(sid, "cam")[: PICTURES + 1], capture.of(sid, "mic")[:SOUNDS]
    if encrypted:
        assert (seen(pictures), heard(sounds)) == (0, 0)
        assert opened > PICTURES, "for whom it was sealed it can be opened"
    else:
        # A packet may get lost on a busy machine; what came can be seen and heard.
        assert seen(pictures) >= PICTURES * 3 // 4
        assert heard(sounds) >= SOUNDS * 3 // 4
        assert opened == 0
