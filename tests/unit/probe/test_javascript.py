"""Each implementation of docs/e2ee.md opens what the other sealed, and refuses what the other refuses."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from callcluster_common.messages.types import Bundle
from callcluster_probe.e2ee import bundle as bundles
from callcluster_probe.e2ee import envelope
from callcluster_probe.e2ee.bundle import Identity
from callcluster_probe.e2ee.encode import b64, unb64
from callcluster_probe.e2ee.envelope import MediaKey
from callcluster_probe.e2ee.frames import SOURCES, clear_bytes
from callcluster_probe.e2ee.keyring import Keyring
from callcluster_probe.e2ee.room_secret import RoomSecret
from callcluster_probe.e2ee.security_code import security_code
from callcluster_probe.e2ee.sender_keys import SenderKeys
from callcluster_probe.e2ee.sframe import key_id, new_base_key, ratchet

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

NOW = 1_800_000_000
ROOM = "interop.room~1"
ME, PAGE = "python-01", "browser-1"
FRAMES = {"mic": os.urandom(40), "cam": b"\x00" + os.urandom(900), "screen": b"\x01" + os.urandom(300)}


class Page:
    """The browser's modules in Node."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", Path(__file__).with_name("javascript.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, do, **arguments):
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"node ended at {do}"
        return json.loads(answer)

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def node():
    page = Page()
    yield page
    page.close()


@pytest.fixture(params=["room secret", "no room secret"])
def secret(request, node):
    raw = os.urandom(32) if request.param == "room secret" else None
    node("enter", room=ROOM, secret=b64(raw) if raw else None, now=NOW * 1000)
    return RoomSecret(ROOM, raw) if raw else None


def as_json(bundle):
    return msgspec.to_builtins(bundle)


def test_bundles(node, secret):
    theirs = msgspec.convert(node("bundle", sid=PAGE), Bundle)
    bundles.verify(theirs, ROOM, PAGE, NOW, secret)
    mine = as_json(Identity().bundle(ROOM, ME, NOW, secret))
    assert node("trusts", bundle=mine, sid=ME)
    assert not node("trusts", bundle=mine, sid="python-02")
    assert not node("trusts", bundle={**mine, "exp": mine["exp"] + 1}, sid=ME)
    if secret:
        stranger = as_json(Identity().bundle(ROOM, ME, NOW, RoomSecret(ROOM, os.urandom(32))))
        assert not node("trusts", bundle=stranger, sid=ME)


def test_envelopes(node, secret):
    identity = Identity()
    mine = identity.bundle(ROOM, ME, NOW, secret)
    theirs = msgspec.convert(node("bundle", sid=PAGE), Bundle)
    page = bundles.verify(theirs, ROOM, PAGE, NOW, secret)
    key = MediaKey(key_id(0xBEEF, 7), new_base_key(), 3)

    body = envelope.seal(identity, ROOM, ME, page, key, NOW * 1000, secret)
    common = {"from": ME, "to": PAGE, "bundle": as_json(mine), "body": body}
    assert node("openEnvelope", **common, lastSeq=2) == {"kid": key.kid, "base": b64(key.base), "seq": 3}
    assert node("openEnvelope", **common, lastSeq=3) is None
    assert node("openEnvelope", **{**common, "to": "browser-2"}, lastSeq=2) is None

    arguments = {"kid": key.kid, "base": b64(key.base), "seq": 3}
    body = node("sealEnvelope", **{"from": PAGE, "to": ME}, bundle=as_json(mine), **arguments)
    assert envelope.open_(identity, ROOM, page, ME, body, 2, secret) == key


@pytest.mark.parametrize("source", SOURCES)
def test_frames_from_python_open_in_the_browser(node, secret, source):
    sender = SenderKeys(ME)
    sender.renew(0, [])
    kid, base = sender.newest
    node("learn", kid=kid, base=b64(base))
    frame = FRAMES[source]
    sealed = sender.seal(source, frame)
    arguments = {"sid": ME, "data": b64(sealed), "clear": clear_bytes(source, frame)}
    other = "cam" if source == "screen" else "screen"
    assert node("openFrame", **arguments, source=other) is None
    assert node("openFrame", **{**arguments, "sid": PAGE}, source=source) is None
    assert unb64(node("openFrame", **arguments, source=source)) == frame
    assert node("openFrame", **arguments, source=source) is None, "a replay"


@pytest.mark.parametrize("source", SOURCES)
def test_frames_from_the_browser_open_in_python(node, secret, source):
    base, kid = new_base_key(), key_id(0x0102, 0)
    node("use", kid=kid, base=b64(base))
    ring = Keyring(PAGE)
    ring.install(kid, base, 0)
    frame = FRAMES[source]
    sealed = node("sealFrame", sid=PAGE, source=source, data=b64(frame), clear=clear_bytes(source, frame))
    assert ring.open(source, unb64(sealed), 0) == frame


def test_both_ratchet_alike(node, secret):
    base = new_base_key()
    later = ratchet(ratchet(base))
    ring = Keyring(PAGE)
    ring.install(key_id(9, 0), base, 0)
    node("use", kid=key_id(9, 2), base=b64(later))
    sealed = node("sealFrame", sid=PAGE, source="mic", data=b64(b"after two steps"), clear=0)
    assert ring.open("mic", unb64(sealed), 0) == b"after two steps"

    sender = SenderKeys(ME)
    sender.renew(0, [])
    kid, first = sender.newest
    node("learn", kid=kid, base=b64(first))
    sender.step(0, "newcomer")
    sender.tick(10)
    sealed = sender.seal("mic", b"after one step")
    opened = node("openFrame", sid=ME, source="mic", data=b64(sealed), clear=0)
    assert unb64(opened) == b"after one step"


@pytest.mark.parametrize("secret", ["room secret"], indirect=True)
def test_names_and_messages(node, secret):
    assert secret.open_name(PAGE, node("sealName", sid=PAGE, name="Zoë 🎥")) == "Zoë 🎥"
    assert node("openName", sid=ME, meta=secret.seal_name(ME, "Zoë 🎥")) == "Zoë 🎥"
    message = {"text": "grüße", "numbers": [1, 2.5, None, True]}
    assert secret.open_message(PAGE, node("sealMessage", sid=PAGE, message=message)) == message
    assert node("openMessage", sid=ME, body=secret.seal_message(ME, message)) == {"data": message}
    assert node("openMessage", sid=PAGE, body=secret.seal_message(ME, message)) is None


def test_security_codes(node, secret):
    identities = [os.urandom(32) for _ in range(4)]
    shown = node("code", identities=[b64(ik) for ik in identities])
    assert security_code(ROOM, reversed(identities)) == shown
    assert security_code(ROOM, identities[:3]) != shown
