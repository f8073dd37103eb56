"""A signaling server that attacks: it stands before a real one and does with every frame what it likes.

It serves the client's files, too, so a test can put its own in their place.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from callcluster_common.messages.types import SUBPROTOCOL

Frame = dict[str, Any]


class Seat:
    """One member's socket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.sid = ""
        self.told: list[Frame] = []
        """What the member was told, oldest first."""
        self.said: list[Frame] = []
        """What the member said."""
        self._socket = socket

    async def tell(self, frame: Frame) -> None:
        """Say something to the member that the real server did not say."""
        self.told.append(frame)
        await self._socket.send_str(json.dumps(frame))


Tamper = Callable[[Seat, Frame], list[Frame]]
"""What becomes of a frame: itself, changed, several, or none."""


def honest(seat: Seat, frame: Frame) -> list[Frame]:
    """As it came."""
    return [frame]


class HostileServer:
    """In front of the server at ``target``, a port. Use as an asynchronous context manager.

    ``to_member`` and ``from_member`` may be set at any time.

    Args:
        files: what to serve in the place of the server's own files, by path; an address with a query always
            gets the server's own.
    """

    def __init__(self, target: int, files: Mapping[str, Path] | None = None) -> None:
        self.port = 0
        self.to_member: Tamper = honest
        self.from_member: Tamper = honest
        self.seats: list[Seat] = []
        self._target = f"http://127.0.0.1:{target}"
        self._files = files or {}
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> HostileServer:
        self._session = aiohttp.ClientSession()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()
        await self._runner.cleanup()

    def seat(self, sid: str) -> Seat:
        """The latest socket of a session."""
        return next(seat for seat in reversed(self.seats) if seat.sid == sid)

    def behave(self) -> None:
        """Attack no more."""
        self.to_member = self.from_member = honest

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if "upgrade" in request.headers.get("Connection", "").lower():
            return await self._carry(request)
        assert self._session is not None
        async with self._session.get(self._target + request.raw_path) as answer:
            body = await answer.read()
            headers = {
                name: answer.headers[name]
                for name in ("Content-Type", "Content-Security-Policy")
                if name in answer.headers
            }
            own = None if request.query_string else self._files.get(request.path)
            return web.Response(
                status=answer.status, body=own.read_bytes() if own else body, headers=headers
            )

    async def _carry(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._session is not None
        near = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await near.prepare(request)
        seat = Seat(near)
        self.seats.append(seat)
        async with self._session.ws_connect(
            self._target + request.raw_path, protocols=(SUBPROTOCOL,)
        ) as far:
            pumps = [
                asyncio.create_task(self._pump(near, far, seat, inbound=False)),
                asyncio.create_task(self._pump(far, near, seat, inbound=True)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await near.close(code=far.close_code or aiohttp.WSCloseCode.OK)
        return near

    async def _pump(
        self,
        source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        seat: Seat,
        *,
        inbound: bool,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            async for message in source:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                frame: Frame = json.loads(message.data)
                if inbound and frame["t"] == "hello.ok":
                    seat.sid = frame["d"]["sid"]
                tamper, log = (self.to_member, seat.told) if inbound else (self.from_member, seat.said)
                log.append(frame)
                for each in tamper(seat, frame):
                    await sink.send_str(json.dumps(each))
