"""Rooms that have an SFU of their own: signaling calls that one, and no other."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from callcluster_common import directive, redis_keys
from callcluster_common.directive import Directive, RoomRule
from callcluster_common.room_names import room_key
from kit.bus_sfu import TinySfu, tiny_sfu
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sig_client import SigClient
from kit.signaling_server import SignalingProcess, signaling

pytestmark = [pytest.mark.redis, pytest.mark.timeout(240)]
SALT = "salt-of-the-tests"


def written(directory: Path, *rules: RoomRule) -> Path:
    file = directory / directive.DIRECTIVE_FILE
    file.write_bytes(directive.encode(Directive(rooms=rules)))
    return file


async def three(server: SignalingProcess, room: str) -> list[SigClient]:
    return [await SigClient.member(server.url, room) for _ in range(3)]


async def serves(sfu: TinySfu, room: str) -> None:
    await eventually(lambda: sfu.room is not None)
    assert sfu.room is not None
    assert sfu.room.name == redis_keys.room(room).name


async def test_a_room_with_an_sfu_of_its_own_is_served_by_it_and_another_room_by_any(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    own, shared = (f"room-{secrets.token_hex(6)}" for _ in range(2))
    key = room_key(SALT.encode(), own)
    file = written(tmp_path, RoomRule(key, max_participants=9, own_sfu=True))
    async with tiny_sfu(redis_server.url) as anybodys, tiny_sfu(redis_server.url, key) as owned:
        with signaling(redis_server.url, DIRECTIVE_FILE=str(file), ROOM_SALT=SALT) as server:
            members = await three(server, own)
            await serves(owned, own)
            await three(server, shared)
            await serves(anybodys, shared)
            for member in members:
                assert (await member.event("sfu"))["d"]["sfu"] == owned.claim
    assert redis_keys.room(own).name not in anybodys.wanted
    assert redis_keys.room(shared).name not in owned.wanted


async def test_a_room_whose_own_sfu_is_taken_away_from_it_gets_any(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    room = f"room-{secrets.token_hex(6)}"
    key = room_key(SALT.encode(), room)
    file = written(tmp_path, RoomRule(key, max_participants=9, own_sfu=True))
    async with tiny_sfu(redis_server.url) as anybodys, tiny_sfu(redis_server.url, key) as owned:
        with signaling(redis_server.url, DIRECTIVE_FILE=str(file), ROOM_SALT=SALT) as server:
            members = await three(server, room)
            await serves(owned, room)
            owned.serves = False
            written(tmp_path, RoomRule(key, max_participants=9))
            await owned.leave()
            # A call that was made before the new rule is heard by nobody; it is repeated.
            await serves(anybodys, room)
            for member in members:
                await member.expect(lambda f: f["t"] == "ev" and f["d"].get("sfu") == anybodys.claim)
