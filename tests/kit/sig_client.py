"""A bare client of the signaling protocol, for tests: it checks offsets and replies as it reads."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, ClassVar

import jwt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from kit.signaling_server import SECRET as SECRET

Frame = dict[str, Any]


def token(room: str = "*", secret: str = SECRET, ttl: int = 600, **claims: Any) -> str:
    """A join token; a claim that is None is left out."""
    now = int(time.time())
    body = {
        "aud": "callcluster",
        "sub": f"user-{secrets.token_hex(4)}",
        "room": room,
        "iat": now,
        "exp": now + ttl,
        **claims,
    }
    return jwt.encode({key: value for key, value in body.items() if value is not None}, secret, "HS256")


MODERATOR = {"pub": ["mic", "cam", "screen"], "msg": True, "mod": True}


class RequestFailedError(Exception):
    """The server answered by an error frame."""

    def __init__(self, data: Frame) -> None:
        super().__init__(f"{data['code']}: {data['message']}")
        self.code = data["code"]
        self.data = data


class SigClient:
    """One member. ``frames`` holds what came unasked, in order."""

    everyone: ClassVar[list[SigClient]] = []

    def __init__(self, ws: ClientConnection, cid: str) -> None:
        self.ws = ws
        self.cid = cid
        self.attempt = 0
        self.sid = ""
        self.resume_token = ""
        self.room = ""
        self.epoch = ""
        self.off = 0
        self.frames: list[Frame] = []
        self.replies: dict[str, Frame] = {}
        self.closed: tuple[int, str] | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self.everyone.append(self)

    @classmethod
    async def connect(cls, url: str, cid: str | None = None, **options: Any) -> SigClient:
        ws = await connect(
            url, subprotocols=[Subprotocol("sig.v1")], compression=None, max_size=None, **options
        )
        client = cls(ws, cid or secrets.token_hex(8))
        await client.expect(lambda frame: frame["t"] == "welcome")
        return client

    @classmethod
    async def hello(
        cls, url: str, bearer: str | None = None, cid: str | None = None, **options: Any
    ) -> SigClient:
        client = await cls.connect(url, cid, **options)
        await client.say_hello(bearer or token())
        return client

    @classmethod
    async def member(cls, url: str, room: str, bearer: str | None = None, **options: Any) -> SigClient:
        client = await cls.hello(url, bearer, **options)
        await client.join(room)
        return client

    async def say_hello(self, bearer: str | None) -> Frame:
        data: Frame = {"cid": self.cid, "attempt": self.attempt}
        if bearer is not None:
            data["token"] = bearer
        reply = await self.request("hello", data)
        self.sid, self.resume_token = reply["d"]["sid"], reply["d"]["resume_token"]
        return reply

    async def join(self, room: str, id: str | None = None, **data: Any) -> Frame:
        reply = await self.request("join", {"room": room, **data}, id=id)
        self._at(reply)
        return reply

    def _at(self, reply: Frame) -> None:
        self.room = reply["d"].get("room", "")
        self.epoch, self.off = reply["d"].get("epoch", ""), reply["d"].get("off", 0)

    async def resume_on(self, url: str, attempt: int | None = None, **options: Any) -> SigClient:
        """Take this session up on a new socket; the frames go on there."""
        other = await SigClient.connect(url, self.cid, **options)
        other.attempt = self.attempt + 1 if attempt is None else attempt
        other.sid, other.resume_token = self.sid, self.resume_token
        other.epoch, other.off, other._ids = self.epoch, self.off, self._ids
        reply = await other.request(
            "resume",
            {
                "resume_token": self.resume_token,
                "cid": self.cid,
                "attempt": other.attempt,
                "epoch": self.epoch,
                "off": self.off,
            },
        )
        other.resumed = reply["d"]
        return other

    resumed: Frame

    async def request(
        self, kind: str, data: Frame | None = None, to: Any = None, id: str | None = None
    ) -> Frame:
        """Send a request and wait for its one reply.

        Raises:
            RequestFailedError: the reply is an error.
        """
        id = id or f"c{next(self._ids)}"
        frame: Frame = {"t": kind, "id": id, "d": data or {}}
        if to is not None:
            frame["to"] = to
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        await self.ws.send(json.dumps(frame))
        reply: Frame
        async with asyncio.timeout(20):
            reply = await future
        if reply["t"] == "error":
            raise RequestFailedError(reply["d"])
        return reply

    async def send(self, frame: Frame) -> None:
        await self.ws.send(json.dumps(frame))

    async def _read(self) -> None:
        try:
            while True:
                frame = json.loads(await self.ws.recv())
                self._note(frame)
        except ConnectionClosed as error:
            self.closed = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
        finally:
            self._news.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError(f"closed {self.closed}"))
                    future.exception()

    def _note(self, frame: Frame) -> None:
        if frame["t"] in ("resume.ok", "snapshot", "join.ok"):
            self.epoch, self.off = frame["d"].get("epoch", ""), frame["d"].get("off", 0)
            self.room = frame["d"].get("room", self.room)
        elif (off := frame.get("off")) is not None:
            assert off > self.off, f"offset {off} after {self.off}"
            self.off = off
        if (re := frame.get("re")) is not None:
            if (future := self._waiting.pop(re, None)) is not None:
                self.replies[re] = frame
                future.set_result(frame)
            else:
                assert re not in self.replies or frame["t"] == "error", f"a second reply to {re}"
                self.frames.append(frame)
        else:
            self.frames.append(frame)
        self._news.set()

    async def expect(self, wanted: Callable[[Frame], bool], within: float = 20.0) -> Frame:
        """Wait for a frame that came, or comes, unasked; it is taken out."""
        async with asyncio.timeout(within):
            while True:
                for index, frame in enumerate(self.frames):
                    if wanted(frame):
                        return self.frames.pop(index)
                assert self.closed is None, f"closed {self.closed}, frames {self.frames}"
                self._news.clear()
                await self._news.wait()

    async def event(self, kind: str, sid: str | None = None, within: float = 20.0) -> Frame:
        """Wait for an event of the room."""
        return await self.expect(
            lambda frame: (
                frame["t"] == "ev" and frame["d"]["kind"] == kind and sid in (None, frame["d"].get("sid"))
            ),
            within,
        )

    async def closes(self, within: float = 20.0) -> int:
        """Wait for the server to close; return the code."""
        await asyncio.wait_for(asyncio.shield(self._reader), within)
        assert self.closed is not None
        return self.closed[0]

    def abort(self) -> None:
        """Cut the connection as a dead network would."""
        self.ws.transport.abort()

    async def close(self) -> None:
        await self.ws.close()
        await self._reader

    @classmethod
    async def close_all(cls) -> None:
        """Close what a test has left open."""
        await asyncio.gather(*(client.close() for client in cls.everyone))
        cls.everyone.clear()
