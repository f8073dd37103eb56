"""Carries out what a session wants: WebSockets, timers, and answers to those who wait for them."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from callcluster_common.messages.client import Bye, ClientFrame
from callcluster_common.messages.server import AnyServerFrame, Error
from callcluster_common.messages.types import MAX_FRAME_BYTES, SUBPROTOCOL
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from callcluster_probe.signaling.effects import Close, Connect, Effect, Ended, Reply, Send
from callcluster_probe.signaling.session import Session

OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0


class SignalingError(Exception):
    """The server refused a request, or the session ended; the message is for an operator."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Socket:
    task: asyncio.Task[None]
    outgoing: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class SignalingClient:
    """A session on real sockets. ``on_event`` gets all effects that are news, in order."""

    def __init__(self, session: Session, on_event: Callable[[Effect], None]) -> None:
        self.session = session
        self._on_event = on_event
        self._sockets: dict[int, _Socket] = {}
        self._waiting: dict[str, asyncio.Future[AnyServerFrame]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Open the session; how it goes comes as events."""
        self._apply(self.session.start(self._loop.time()))

    def post(self, frame: ClientFrame) -> None:
        """Send ``frame`` until the server answers it; nobody waits for the answer."""
        _, effects = self.session.request(frame, self._loop.time())
        self._apply(effects)

    async def request(self, frame: ClientFrame) -> AnyServerFrame:
        """Send ``frame`` and wait for its answer.

        Raises:
            SignalingError: the server refused it, or the session ended.
        """
        id_, effects = self.session.request(frame, self._loop.time())
        waiter = self._waiting[id_] = self._loop.create_future()
        self._apply(effects)
        try:
            answer: AnyServerFrame = await waiter
        finally:
            self._waiting.pop(id_, None)
        if isinstance(answer, Error):
            raise SignalingError(answer.d.code, answer.d.message)
        return answer

    async def close(self) -> None:
        """Say goodbye and let go of all sockets."""
        if not self.session.ended:
            self.post(Bye())
        self._apply(self.session.bye())
        tasks = [socket.task for socket in self._sockets.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=2 * CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Connect(socket, url):
                    self._sockets[socket] = _Socket(asyncio.create_task(self._carry(socket, url)))
                case Send(socket, text):
                    if socket in self._sockets:
                        self._sockets[socket].outgoing.put_nowait(text)
                case Close(socket):
                    if socket in self._sockets:
                        self._sockets[socket].outgoing.put_nowait(None)
                case Reply(id_, frame):
                    self._on_event(effect)
                    self._answer(id_, frame)
                case _:
                    if isinstance(effect, Ended) and self._timer:
                        self._timer.cancel()
                    self._on_event(effect)
        self._arm()

    def _answer(self, id_: str, frame: AnyServerFrame | None) -> None:
        waiter = self._waiting.get(id_)
        if waiter is None or waiter.done():
            return
        if frame is None:
            waiter.set_exception(SignalingError("ended", "the session ended before the server answered"))
        else:
            waiter.set_result(frame)

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        at = self.session.next_deadline()
        self._timer = None if at is None else self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._apply(self.session.tick(self._loop.time()))

    async def _carry(self, socket: int, url: str) -> None:
        """One WebSocket from its opening to its end."""
        code: int | None = None
        why = "it closed the connection"
        try:
            async with connect(
                url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=MAX_FRAME_BYTES * 16,  # a snapshot of a full room is larger than a client's frame
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
            ) as connection:
                self._apply(self.session.opened(socket, self._loop.time()))
                writer = asyncio.create_task(self._write(socket, connection))
                try:
                    async for text in connection:
                        self._apply(self.session.received(socket, text, self._loop.time()))
                except ConnectionClosed:
                    pass  # the close code says why
                finally:
                    writer.cancel()
                    await asyncio.gather(writer, return_exceptions=True)
                code = connection.close_code
        except InvalidStatus as refused:
            why = f"it answered HTTP {refused.response.status_code}"
        except (OSError, InvalidHandshake, TimeoutError) as error:
            why = _in_words(error)
        finally:
            del self._sockets[socket]
        self._apply(self.session.closed(socket, code, why, self._loop.time()))

    async def _write(self, socket: int, connection: ClientConnection) -> None:
        outgoing = self._sockets[socket].outgoing
        try:
            while (text := await outgoing.get()) is not None:
                await connection.send(text, text=True)
            await connection.close()
        except ConnectionClosed:
            pass  # the reader sees it too, and tells the session


def _in_words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in text:
        return "connection refused"  # by each address of the name, where it has several
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return error.strerror or text if isinstance(error, OSError) else text
