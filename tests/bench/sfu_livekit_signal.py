"""LiveKit's signaling as a client speaks it, as far as the benchmark needs it.

Protocol Buffers over a WebSocket; field numbers are those of livekit_rtc.proto, protocol 16.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum
from urllib.parse import urlencode

from kit.sfu_load import LoadError
from sfu_contestant import in_time
from websockets.asyncio.client import ClientConnection, connect

PROTOCOL = 16
PING_SECONDS = 5.0
TOKEN_SECONDS = 3600
Fields = dict[int, list[int | bytes]]


class Heard(IntEnum):
    """What the server says that matters here; fields of its message."""

    ANSWER = 2
    OFFER = 3
    PUBLISHED = 6
    LEAVE = 8


HEARD = frozenset(Heard)


def encoded(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A message of varints and length-delimited fields."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def decoded(message: bytes) -> Fields:
    """The fields of a message by number; fixed-width ones are left out."""
    fields: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        match key & 7:
            case 0:
                fields.setdefault(key >> 3, []).append(varint())
            case 2:
                length = varint()
                fields.setdefault(key >> 3, []).append(message[at : at + length])
                at += length
            case width:
                at += {1: 8, 5: 4}[width]
    return fields


def _text(fields: Fields, number: int) -> str:
    value = fields[number][0]
    assert isinstance(value, bytes)
    return value.decode()


def token(key: str, secret: str, member: str) -> str:
    """An access token (JWT, HS256) for the room of the benchmark."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {
        "iss": key,
        "sub": member,
        "exp": int(time.time()) + TOKEN_SECONDS,
        "video": {"roomJoin": True, "room": "bench"},
    }
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


class Signal:
    """One member's connection; ``on_offer`` answers each of the server's offers."""

    def __init__(self, socket: ClientConnection, on_offer: Callable[[str], Awaitable[str]]) -> None:
        self._socket = socket
        self._on_offer = on_offer
        self._published: dict[str, asyncio.Future[str]] = {}
        self._answered: asyncio.Future[str] | None = None

    @classmethod
    @asynccontextmanager
    async def start(
        cls, url: str, token: str, on_offer: Callable[[str], Awaitable[str]]
    ) -> AsyncIterator[Signal]:
        """Join without subscribing to anything."""
        query = urlencode({"access_token": token, "protocol": PROTOCOL, "auto_subscribe": "0"})
        async with connect(f"{url}/rtc?{query}", max_size=None) as socket:
            signal = cls(socket, on_offer)
            tasks = [asyncio.create_task(signal._read()), asyncio.create_task(signal._ping())]
            try:
                yield signal
            finally:
                for task in tasks:
                    task.cancel()
                for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(outcome, Exception):
                        raise LoadError(f"LiveKit's signaling broke: {outcome}")

    async def publish(self, cid: str, kind: str) -> str:
        """Announce a track; the server's name for it."""
        known = self._published[cid] = asyncio.get_running_loop().create_future()
        if kind == "audio":
            track = encoded((1, cid), (2, cid), (3, 0), (8, 2), (13, 1))
        else:
            track = encoded((1, cid), (2, cid), (3, 1), (4, 640), (5, 360), (8, 1))
        await self._socket.send(encoded((4, track)))
        return await in_time("LiveKit, a track", known)

    async def offer(self, sdp: str) -> str:
        """Offer the publishing connection; the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        await self._socket.send(encoded((1, encoded((1, "offer"), (2, sdp), (3, 1)))))
        return await in_time("LiveKit, an offer", self._answered)

    async def subscribe(self, tracks: Sequence[str]) -> None:
        """Ask for tracks by the server's names."""
        await self._socket.send(encoded((6, encoded(*((1, track) for track in tracks), (2, 1)))))

    async def _ping(self) -> None:
        while True:
            await self._socket.send(encoded((14, int(time.time() * 1000))))
            await asyncio.sleep(PING_SECONDS)

    async def _read(self) -> None:
        async for message in self._socket:
            assert isinstance(message, bytes)
            for number, values in decoded(message).items():
                if number in HEARD:
                    assert isinstance(values[0], bytes)
                    await self._hear(number, decoded(values[0]))

    async def _hear(self, number: int, fields: Fields) -> None:
        match number:
            case Heard.ANSWER:
                assert self._answered
                self._answered.set_result(_text(fields, 2))
            case Heard.OFFER:
                answer = await self._on_offer(_text(fields, 2))
                described = encoded((1, "answer"), (2, answer), *((3, id_) for id_ in fields.get(3, ())))
                await self._socket.send(encoded((2, described)))
            case Heard.PUBLISHED:
                track = fields[2][0]
                assert isinstance(track, bytes)
                self._published[_text(fields, 1)].set_result(_text(decoded(track), 1))
            case Heard.LEAVE:
                raise LoadError("LiveKit sent a member away")
