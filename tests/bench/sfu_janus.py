"""Janus' VideoRoom as a contestant: the distribution's package, over its HTTP API.

Configured as its documentation advises for many handles on few cores: one event loop a core, ICE-lite, and
no plugin or transport that is not used.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from kit.eventually import eventually
from kit.ports import free_port
from kit.sfu_load import Load, LoadError
from kit.sfu_load_sdp import Side, answer, connection, offer, sent_by, stream
from sfu_contestant import PEERS, SFU_CORE, Contestant, NotRun, Published, in_time, pinned

ROOM = 1
JANUS = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{folder}/plugins"
    transports_folder = "{folder}/transports"
    events_folder = "{folder}/none"
    loggers_folder = "{folder}/none"
    debug_level = 2
    event_loops = 1
}}
certificates: {{ }}
media: {{ }}
nat: {{ ice_lite = true }}
"""
HTTP = """
general: {{ json = "compact"
    base_path = "/janus"
    http = true
    port = {port}
    ip = "127.0.0.1"
    https = false
}}
admin: {{ admin_http = false }}
"""
VIDEOROOM = "general: { }\n"


class Janus(Contestant):
    """A handle, and a connection, for each publisher and for each subscriber."""

    title = "Janus"

    def __init__(self, process: subprocess.Popen[bytes], http: aiohttp.ClientSession, url: str) -> None:
        self._process = process
        self._http = http
        self._url = url
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._feeds: list[tuple[int, str]] = []
        """Feed and its owner."""

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[Janus]:
        program = shutil.which("janus")
        if program is None:
            raise NotRun("janus is not installed (Debian: janus)")
        modules = next(Path("/usr/lib").glob("*/janus"), None)
        if modules is None:
            raise NotRun("janus' plugins are not where the distribution's package has them")
        with tempfile.TemporaryDirectory() as directory:
            port = free_port()
            config = _configure(Path(directory), modules, port)
            argv = [*pinned(SFU_CORE), program, "--config", str(config), "--configs-folder", directory]
            with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    async with aiohttp.ClientSession() as http:
                        janus = cls(process, http, f"http://127.0.0.1:{port}/janus")
                        async with janus._session():
                            yield janus
                finally:
                    process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def publish(self, load: Load, member: str, kinds: Sequence[str]) -> list[Published]:
        side = Side.new(load.fingerprint)
        published = [stream(str(number), kind) for number, kind in enumerate(kinds)]
        feed = len(self._feeds) + 1
        handle = await self._attach()
        said = await self._message(
            handle,
            {"request": "joinandconfigure", "ptype": "publisher", "room": ROOM, "id": feed},
            {"type": "offer", "sdp": offer(side, 1, published, ())},
        )
        self._feeds.append((feed, member))
        peer = next(PEERS)
        await load.connect(connection(peer, side, said["jsep"]["sdp"], publishes=published))
        return [Published(peer, one.mid, one.kind) for one in published]

    async def subscribe(
        self, load: Load, member: str, *, counts_only: bool = False, feedback: bool = True
    ) -> int:
        side = Side.new(load.fingerprint)
        feeds = [{"feed": feed} for feed, owner in self._feeds if owner != member]
        handle = await self._attach()
        said = await self._message(
            handle, {"request": "join", "ptype": "subscriber", "room": ROOM, "streams": feeds}
        )
        offered = said["jsep"]["sdp"]
        await self._message(
            handle, {"request": "start"}, {"type": "answer", "sdp": answer(side, 1, offered)}
        )
        peer = next(PEERS)
        received = sent_by(offered)
        await load.connect(
            connection(peer, side, offered, receives=received, counts_only=counts_only, feedback=feedback)
        )
        return peer

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[None]:
        async def create() -> dict[str, Any] | None:
            try:
                return await self._post("", {"janus": "create"})
            except aiohttp.ClientConnectionError:
                return None

        try:
            created = await eventually(create)
        except AssertionError:
            raise LoadError("Janus does not listen") from None
        self._url += f"/{created['data']['id']}"
        polling = asyncio.create_task(self._poll())
        try:
            handle = await self._attach()
            room = {"request": "create", "room": ROOM, "publishers": 100, "notify_joining": False}
            await self._post(f"/{handle}", {"janus": "message", "body": room})
            yield
        finally:
            polling.cancel()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request; a problem is told with 200 and ``janus: error``."""
        body.setdefault("transaction", secrets.token_hex(8))
        async with self._http.post(self._url + path, json=body) as response:
            said: dict[str, Any] = await response.json()
        if said["janus"] == "error":
            raise LoadError(f"Janus: {said['error']['reason']}")
        return said

    async def _attach(self) -> int:
        said = await self._post("", {"janus": "attach", "plugin": "janus.plugin.videoroom"})
        handle: int = said["data"]["id"]
        return handle

    async def _message(
        self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """A request of the plugin and the event that answers it."""
        transaction = secrets.token_hex(8)
        answered = self._answers[transaction] = asyncio.get_running_loop().create_future()
        message = {"janus": "message", "transaction": transaction, "body": body}
        await self._post(f"/{handle}", message | ({"jsep": jsep} if jsep else {}))
        said: dict[str, Any] = await in_time(f"Janus, {body['request']}", answered)
        if "error" in said["plugindata"]["data"]:
            raise LoadError(f"Janus: {said['plugindata']['data']['error']}")
        return said

    async def _poll(self) -> None:
        """Fetches events for good; it keeps the session alive as well."""
        while True:
            async with self._http.get(self._url, params={"maxev": "10"}) as response:
                events = await response.json()
            for event in events if isinstance(events, list) else [events]:
                waiting = self._answers.pop(event.get("transaction", ""), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(event)


def _configure(folder: Path, modules: Path, port: int) -> Path:
    """Writes Janus' files; returns the main one."""
    for kind, library in (("plugins", "libjanus_videoroom.so"), ("transports", "libjanus_http.so")):
        (folder / kind).mkdir()
        (folder / kind / library).symlink_to(modules / kind / library)
    (folder / "none").mkdir()
    (folder / "janus.transport.http.jcfg").write_text(HTTP.format(port=port))
    (folder / "janus.plugin.videoroom.jcfg").write_text(VIDEOROOM)
    main = folder / "janus.jcfg"
    main.write_text(JANUS.format(folder=folder))
    return main
