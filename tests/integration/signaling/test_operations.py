"""What the operator does with a server: drains it, and hands it keys, servers and rules."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from callcluster_common import directive, keyset, room_names
from callcluster_common.turn_credentials import password
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sig_client import RequestFailedError, SigClient, token
from kit.signaling_server import SignalingProcess, signaling
from websockets.exceptions import InvalidStatus

CONTROL = "control-token-0123456789-abcdefghij"
ONE, TWO = keyset.Key("k1", "a" * 40), keyset.Key("k2", "b" * 40)


def new_room() -> str:
    return f"room-{secrets.token_hex(6)}"


class Files:
    """The three files that a server follows."""

    def __init__(self, directory: Path) -> None:
        self.turn_keys = directory / "turn.json"
        self.directive = directory / "directive.json"
        self.control_keys = directory / "control.json"
        self._write(self.control_keys, keyset.encode(keyset.KeySet("c1", (keyset.Key("c1", CONTROL),))))

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        new = path.with_suffix(".new")
        new.write_bytes(data)
        new.replace(path)

    def keys(self, mint: str, *keys: keyset.Key) -> keyset.KeySet:
        made = keyset.KeySet(mint, keys)
        self._write(self.turn_keys, keyset.encode(made))
        return made

    def rules(self, **fields: Any) -> directive.Directive:
        made = directive.Directive(
            **{"turn_uris": ("turn:turn.example:3478?transport=udp",), "turn_ttl_seconds": 600, **fields}
        )
        self._write(self.directive, directive.encode(made))
        return made

    @property
    def settings(self) -> dict[str, str]:
        return {
            "TURN_KEYS_FILE": str(self.turn_keys),
            "DIRECTIVE_FILE": str(self.directive),
            "CONTROL_KEYS_FILE": str(self.control_keys),
        }


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def followed(files: Files) -> Iterator[SignalingProcess]:
    """A server that follows the files."""
    with signaling(**files.settings) as server:
        yield server
        assert "Traceback" not in server.text
        for secret in (CONTROL, ONE.secret, TWO.secret):
            assert secret not in server.text


async def _report(server: SignalingProcess) -> dict[str, Any]:
    async def read() -> dict[str, Any]:
        status, body = await asyncio.to_thread(server.get, "/report", CONTROL)
        return json.loads(body) if status == 200 else {}

    found: dict[str, Any] = await eventually(read)
    return found


@pytest.mark.redis
async def test_a_room_that_is_closed_while_redis_is_away_ends_when_it_is_back(files: Files) -> None:
    room = new_room()
    redis = RedisServer()
    redis.start()
    try:
        with signaling(redis.url, **files.settings) as server:
            member = await SigClient.member(server.url, room)
            redis.dump()
            redis.kill()
            await eventually(lambda: server.metric("sig_bus_up") == 0)
            key = room_names.room_key(b"salt-of-the-tests", room)
            files.rules(rooms=(directive.RoomRule(key, max_participants=9, closed=True),))
            await eventually(lambda: "could not be ended yet" in server.text)
            assert member.closed is None
            redis.start()
            assert await member.closes(within=20) == 4503
    finally:
        redis.close()


# TURN


async def test_members_get_credentials_and_fresh_ones_at_each_switch(
    followed: SignalingProcess, files: Files
) -> None:
    files.rules()
    files.keys("k1", ONE)
    await eventually(lambda: _has_keys(followed))
    client = await SigClient.hello(followed.url)
    joined = await client.join(new_room())
    (server,) = joined["d"]["ice_servers"]
    assert server["urls"] == ["turn:turn.example:3478?transport=udp"]
    assert joined["d"]["turn_ttl_s"] == 600
    expires = int(server["username"].partition(":")[0])
    assert abs(expires - time.time() - 600) < 60
    assert server["username"].split(":")[1].startswith("k1.")
    assert server["credential"] == password(ONE.secret, server["username"])
    # Staged: accepted, not minted with.
    staged = files.keys("k1", ONE, TWO)
    await eventually(lambda: _reports(followed, "keySet", keyset.fingerprint(staged)))
    assert not [frame for frame in client.frames if frame["t"] == "turn"]
    files.keys("k2", ONE, TWO)
    pushed = await client.expect(lambda frame: frame["t"] == "turn")
    assert pushed["d"]["ice_servers"][0]["username"].split(":")[1].startswith("k2.")
    asked = await client.request("turn.refresh")
    assert (asked["t"], asked["d"]["turn_ttl_s"]) == ("turn", 600)
    files.rules(turn_uris=("turns:other.example:5349",))
    moved = await client.expect(lambda frame: frame["t"] == "turn")
    assert moved["d"]["ice_servers"][0]["urls"] == ["turns:other.example:5349"]


async def _has_keys(server: SignalingProcess) -> bool:
    report = await _report(server)
    return bool(report["keySet"] and report["directive"])


async def _reports(server: SignalingProcess, name: str, value: Any) -> bool:
    return bool((await _report(server))[name] == value)


async def test_a_file_that_cant_be_used_changes_nothing(followed: SignalingProcess, files: Files) -> None:
    files.rules()
    good = files.keys("k1", ONE)
    await eventually(lambda: _reports(followed, "keySet", keyset.fingerprint(good)))
    files.turn_keys.write_text('{"mint": "k9", "keys": []}')
    await eventually(lambda: "can't be used" in followed.text)
    client = await SigClient.hello(followed.url)
    assert (await client.join(new_room()))["d"]["ice_servers"]


# Rules of rooms


async def test_a_declared_room_has_its_size_and_can_be_closed(
    followed: SignalingProcess, files: Files
) -> None:
    room = new_room()
    key = room_names.room_key(b"salt-of-the-tests", room)
    rules = files.rules(rooms=(directive.RoomRule(key, 2),))
    await eventually(lambda: _reports(followed, "directive", directive.fingerprint(rules)))
    a, b = [await SigClient.member(followed.url, room) for _ in range(2)]
    with pytest.raises(RequestFailedError, match="room_full"):
        await SigClient.member(followed.url, room)
    assert (await _report(followed))["rooms"] == {key: 2}
    await SigClient.member(followed.url, new_room())
    files.rules(rooms=(directive.RoomRule(key, 2, closed=True),))
    assert await a.closes() == await b.closes() == 4503
    with pytest.raises(RequestFailedError, match="room_closed"):
        await SigClient.member(followed.url, room)


# The control port


async def test_the_control_port_keeps_to_its_tokens(followed: SignalingProcess) -> None:
    await _report(followed)
    for path, method in (("/report", "GET"), ("/drain", "POST")):
        assert followed.get(path, method=method)[0] == 401
        assert followed.get(path, "wrong-token-0123456789-0123456789", method)[0] == 401
    assert followed.get("/healthz") == (200, "ok\n")
    assert followed.get("/readyz") == (200, "ok\n")


async def test_the_report_counts_without_naming(followed: SignalingProcess) -> None:
    room = new_room()
    await SigClient.member(followed.url, room)
    await SigClient.hello(followed.url)
    report = await _report(followed)
    assert report["sessions"] == 2
    assert report["rooms"] == {room_names.room_key(b"salt-of-the-tests", room): 1}
    assert report["busUp"] is True
    assert report["draining"] is False
    assert room not in json.dumps(report)


async def test_metrics_carry_no_identity(followed: SignalingProcess) -> None:
    room, name = new_room(), f"name{secrets.token_hex(6)}"
    client = await SigClient.member(followed.url, room, token(room, sub=name))
    await client.request("msg", {"body": "x"}, to="room")
    text = followed.get("/metrics")[1]
    assert followed.metric("sig_participants") == 1
    assert followed.metric('sig_received_frames_total{type="msg"}') == 1
    for identity in (room, name, client.sid, client.cid, room_names.room_key(b"salt-of-the-tests", room)):
        assert identity not in text


# Drain


async def test_a_drain_by_the_control_port_empties_the_server_and_leaves_it_running(
    followed: SignalingProcess,
) -> None:
    await _report(followed)
    client = await SigClient.member(followed.url, new_room())
    assert followed.get("/drain", CONTROL, "POST")[0] == 202
    goaway = await client.expect(lambda frame: frame["t"] == "goaway")
    assert goaway["d"]["reason"] == "drain"
    assert goaway["d"]["by_ms"] > 0
    assert followed.get("/readyz") == (503, "draining\n")
    assert followed.get("/healthz")[0] == 200
    assert (await _report(followed))["draining"] is True
    with pytest.raises(InvalidStatus) as refused:
        await SigClient.hello(followed.url)
    assert refused.value.response.status_code == 503
    assert await client.closes(within=15) == 4001
    assert followed.running()


@pytest.mark.redis
async def test_members_move_from_a_draining_server_and_miss_nothing(redis_server: RedisServer) -> None:
    with signaling(redis_server.url) as old, signaling(redis_server.url) as new:
        room = new_room()
        a = await SigClient.member(old.url, room)
        b = await SigClient.member(old.url, room)
        lazy = await SigClient.member(old.url, room)
        old.terminate()
        for client in (a, b):
            await client.expect(lambda frame: frame["t"] == "goaway")
        moved_a, moved_b = [await client.resume_on(new.url) for client in (a, b)]
        assert [await client.closes() for client in (a, b)] == [4005, 4005]
        await moved_a.request("msg", {"body": "on the new one"}, to="room")
        await lazy.expect(lambda frame: frame["t"] == "msg")
        await moved_b.expect(lambda frame: frame["t"] == "msg")
        assert await lazy.closes(within=15) == 4001
        assert await asyncio.to_thread(old.ended) == 0
        await moved_a.event("reconnecting", lazy.sid)
        back = await lazy.resume_on(new.url)
        assert back.resumed["recovered"]
        await moved_a.event("resumed", lazy.sid)
        kinds = [frame["d"].get("kind") for frame in moved_a.frames + moved_b.frames]
        assert "left" not in kinds
        assert "Traceback" not in old.text


async def test_a_server_without_connections_ends_at_once() -> None:
    with signaling() as server:
        began = time.monotonic()
        server.terminate()
        assert await asyncio.to_thread(server.ended) == 0
        assert time.monotonic() - began < 5


async def test_a_second_signal_cuts_the_drain_short() -> None:
    with signaling(DRAIN_SPREAD_SECONDS="600") as server:
        clients = [await SigClient.member(server.url, new_room()) for _ in range(3)]
        server.terminate()
        await eventually(lambda: server.get("/readyz")[0] == 503)
        server.terminate()
        assert await asyncio.to_thread(server.ended) == 0
        assert [await client.closes() for client in clients] == [4001] * 3
