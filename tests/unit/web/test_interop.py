"""The browser's keys and frames against the probe's: each opens what the other sealed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from callcluster_common.messages.client import KeyAck, KeySend
from callcluster_common.messages.types import Member
from callcluster_probe.e2ee.bundle import Identity
from callcluster_probe.e2ee.frames import Source
from callcluster_probe.e2ee.keys import CallKeys
from callcluster_probe.e2ee.room_secret import RoomSecret

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

ROOM, JS, PY = "r-test", "js-member-1", "py-member-1"
SECRET = bytes([5]) * 32
VP8_KEY = bytes([0x10, *range(1, 80)])


class Browser:
    """A member that runs the SDK's modules in Node."""

    def __init__(self, mode: str) -> None:
        script = Path(__file__).with_name("interop.mjs")
        self.process = subprocess.Popen(
            ["node", script, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, command: str, **given: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())  # type: ignore[no-any-return]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=["psk", "base"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def browser(mode: str) -> Iterator[Browser]:
    browser = Browser(mode)
    yield browser
    browser.close()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_they_trust_key_and_hear_each_other(browser: Browser, mode: str) -> None:
    secret = RoomSecret(ROOM, SECRET) if mode == "psk" else None
    probe = CallKeys(Identity(), ROOM, PY, secret, time.time())
    hello = browser.ask("hello")
    probe.enter([msgspec.convert({"sid": JS, "bundle": hello["bundle"]}, Member)], 0.0)
    meta = secret.seal_name(PY, "Ægir") if secret else ""
    line = msgspec.to_builtins(Member(PY, bundle=probe.bundle(0.0), meta=meta))

    found = browser.ask("found", member=line)
    assert probe.trusted(JS, 0.0)
    assert found["trusted"]
    assert found["code"] == probe.security_code()
    if secret:
        assert secret.open_name(JS, hello["meta"]) == "Jötunn"
        assert found["name"] == "Ægir"

    (given,) = [
        entry for frame in found["sent"] if frame["t"] == "key.send" for entry in frame["d"]["entries"]
    ]
    probe.deliver(JS, given["body"], 0.1)
    frames = probe.drain()
    (ack,) = [frame for frame in frames if isinstance(frame, KeyAck)]
    (send,) = [frame for frame in frames if isinstance(frame, KeySend)]
    browser.ask("ack", **{"from": PY}, kid=ack.d.kid)
    answer = browser.ask("envelope", **{"from": PY}, body=send.d.entries[0].body)
    probe.acked(JS, answer["sent"][0]["d"]["kid"])
    probe.tick(0.2)

    sources: list[tuple[Source, int]] = [("mic", 0), ("cam", 10), ("screen", 10)]
    for source, clear in sources:
        sealed = probe.seal(source, VP8_KEY)
        assert sealed
        opened = browser.ask("open", **{"from": PY}, data=b64(sealed), source=source, clear=clear)
        assert opened["data"] == b64(VP8_KEY)
        frame = base64.b64decode(
            browser.ask("seal", data=b64(VP8_KEY), source=source, clear=clear)["frame"]
        )
        assert probe.open(JS, source, frame, 0.3) == VP8_KEY
        assert probe.open(JS, source, frame, 0.3) is None

    # Somebody else joins: both ratchet, and follow each other without an envelope.
    third = CallKeys(Identity(), ROOM, "py-member-2", secret, time.time())
    newcomer = Member("py-member-2", bundle=third.bundle(0.0))
    step = browser.ask("joined", member=msgspec.to_builtins(newcomer))["sent"][0]["d"]["entries"]
    assert [entry["to"] for entry in step] == ["py-member-2"]
    browser.ask("ack", **{"from": "py-member-2"}, kid=ack.d.kid + 1)
    probe.joined(newcomer, 0.4)
    probe.tick(1.5)
    frame = base64.b64decode(browser.ask("seal", data=b64(VP8_KEY), source="cam", clear=10)["frame"])
    assert probe.open(JS, "cam", frame, 1.6) == VP8_KEY
    sealed = probe.seal("cam", VP8_KEY)
    assert sealed
    opened = browser.ask("open", **{"from": PY}, data=b64(sealed), source="cam", clear=10)
    assert opened["data"] == b64(VP8_KEY)
