"""What people bring into a call is found nowhere on the servers' side."""

from __future__ import annotations

import base64
import contextlib
import secrets
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest
from browser.app.chromium import chromium
from browser.sdk.tabs import Tab
from callcluster_common import keyset
from kit.canaries import leaks
from kit.demo import Demo, demo
from kit.eventually import eventually
from kit.redis_server import Monitor
from redis.asyncio import Redis

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

KEEP_KEYS = """async () => {
    const { FrameCrypto } = await import('/sdk/frame_crypto.js')
    const { use } = FrameCrypto.prototype
    window.baseKeys = []
    FrameCrypto.prototype.use = function (kid, baseKey) {
        window.baseKeys.push(btoa(String.fromCharCode(...baseKey.reveal())))
        return use.call(this, kid, baseKey)
    }
}"""


async def test_no_name_token_or_key_lies_anywhere_on_the_servers() -> None:
    room_secret = secrets.token_bytes(32)
    room = f"canary-{secrets.token_hex(8)}"
    name = f"Canary Name {secrets.token_hex(8)}"
    subject = f"canary-subject-{secrets.token_hex(8)}"
    text = f"canary text {secrets.token_hex(8)}"
    async with demo("--logs") as running, chromium() as browser:
        code, token = await running.up.call("token", "--room", room, "--user", subject)
        assert code == 0, token
        token = token.strip().splitlines()[-1]
        bus = running.redis_url()
        async with Monitor(bus) as monitor:
            one, other = await Tab.open(browser, running.port), await Tab.open(browser, running.port)
            for tab in (one, other):
                await tab.page.evaluate(KEEP_KEYS)
            await one.join(room, secret=room_secret, name=name, token=token)
            await other.join(room, secret=room_secret, name=name, token=token)
            await one.flows()
            await other.flows()
            await one.page.evaluate("text => window.call.send({ text })", text)
            await other.until(lambda look: True)
            # A resume and a rotation, so that their paths are searched, too.
            await one.page.evaluate("window.call.leave()")
            await other.until(lambda look: True)
            base_keys = [
                base64.b64decode(key)
                for tab in (one, other)
                for key in await tab.page.evaluate("window.baseKeys")
            ]
            assert len(base_keys) >= 3
            assert all(len(key) == 64 for key in base_keys)
            async with aiohttp.ClientSession() as http:
                metrics = await scrape(running, http)
            redis = Redis.from_url(bus)
            shown = bytes(range(256))
            await redis.publish("shown", shown)
            await eventually(lambda: shown in monitor.executed())
        monitored = monitor.executed()
        dump = b"".join([await redis.dump(key) or b"" for key in await redis.keys("*")])
        directory = (await redis.config_get("dir"))["dir"]
        await redis.save()
        rdb = (Path(directory) / (await redis.config_get("dbfilename"))["dbfilename"]).read_bytes()
        await redis.aclose()
        # The searched places are the real ones: the ids that servers do work with are found there.
        assert one.sid.encode() in monitored
        assert monitored.count(b"PUBLISH") > 3
        places = {
            "the log": "\n".join(running.up.lines).encode(),
            "Redis, as it ran": monitored,
            "Redis, its keys": dump,
            "Redis, its file": rdb,
            "the metrics": metrics,
        }
        planted = {
            "room secret": room_secret,
            "name": name.encode(),
            "text": text.encode(),
            "subject": subject.encode(),
            "token": token.encode(),
            "the token's signature": token.rpartition(".")[2].encode(),
            **{f"media key {number}": key for number, key in enumerate(base_keys)},
        }
        assert leaks(planted, places) == []
        assert (
            leaks({"room id": room.encode()}, {key: places[key] for key in ("the log", "the metrics")})
            == []
        )


async def scrape(running: Demo, http: aiohttp.ClientSession) -> bytes:
    """The metrics of all processes with a control port."""
    found = []
    for pid in running.up.processes():
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
            environment = dict(line.split("=", 1) for line in lines if "=" in line)
            if "CONTROL_PORT" in environment:
                keys = keyset.parse(Path(environment["CONTROL_KEYS_FILE"]).read_bytes())
                async with http.get(
                    f"http://127.0.0.1:{environment['CONTROL_PORT']}/metrics",
                    headers={"Authorization": f"Bearer {keys.minting.secret}"},
                ) as response:
                    response.raise_for_status()
                    found.append(await response.read())
    # An SFU runs where its packet plane is built.
    assert len(found) == (3 if find_spec("callcluster_plane") else 2), "signaling, TURN and SFU"
    return b"".join(found)
