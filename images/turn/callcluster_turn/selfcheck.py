"""Checks a TURN server from the outside, as its clients would: real packets, real credentials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from callcluster_common import stun, turn_credentials
from callcluster_common.keyset import Key
from callcluster_common.peer_policy import IPAddress
from callcluster_common.stun import Attribute, Kind, Message, Method, STUNError

from callcluster_turn.client import LongTermClient, allocate_attributes, lifetime_attribute

TIMEOUT_SECONDS = 3.0
RETRANSMIT_SECONDS = 0.5
CREDENTIAL_SECONDS = 60
PEER_PORT = 9
SUBJECT = "self-check"

ALLOCATION_MISMATCH = 437
FULL = (486, 508)
"""Quota reached, no port left. coturn gives these answers after it has accepted the credential."""
FORBIDDEN = 403


class SelfCheckError(Exception):
    """The server does not do what it should; the message says what, without addresses or keys."""


class PeerPolicyError(SelfCheckError):
    """The server would relay to a peer that is denied."""


class _Socket(asyncio.DatagramProtocol):
    """A connected UDP socket with a queue of what arrived."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error: retransmission ends in the time-out that tells of it."""


class UDPChecker:
    """One UDP socket towards the server; use as an async context manager."""

    def __init__(self, address: IPAddress, port: int) -> None:
        self._server = (str(address), port)

    async def __aenter__(self) -> UDPChecker:
        loop = asyncio.get_running_loop()
        self._transport, self._socket = await loop.create_datagram_endpoint(
            _Socket, remote_addr=self._server
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    async def binding(self) -> None:
        """A STUN Binding.

        Raises:
            SelfCheckError: no answer, or not a success.
        """
        request = Message(Method.BINDING, Kind.REQUEST)

        def read(data: bytes) -> Message | None:
            try:
                answer = stun.parse(data)
            except STUNError:
                return None
            return answer if answer.transaction == request.transaction else None

        answer = await self._exchange(stun.encode(request), read)
        if answer.kind is not Kind.SUCCESS or answer.get(Attribute.XOR_MAPPED_ADDRESS) is None:
            raise SelfCheckError("STUN Binding is refused")

    async def request(
        self,
        client: LongTermClient,
        method: Method,
        attributes: Iterable[tuple[int, bytes]] = (),
        peer: tuple[IPAddress, int] | None = None,
    ) -> Message:
        """An authenticated request and its answer.

        Raises:
            SelfCheckError: no answer in time.
        """
        return await self._exchange(client.request(method, tuple(attributes), peer=peer), client.receive)

    async def _exchange(self, request: bytes, read: Callable[[bytes], Message | bytes | None]) -> Message:
        end = time.monotonic() + TIMEOUT_SECONDS
        while (left := end - time.monotonic()) > 0:
            self._transport.sendto(request)
            try:
                async with asyncio.timeout(min(left, RETRANSMIT_SECONDS)):
                    while True:
                        outcome = read(await self._socket.received.get())
                        if isinstance(outcome, Message):
                            return outcome
                        if outcome is not None:
                            request = outcome
                            self._transport.sendto(request)
            except TimeoutError:
                continue
        raise SelfCheckError("no answer over UDP")


async def binding(address: IPAddress, port: int) -> None:
    """Send a STUN Binding over UDP.

    Raises:
        SelfCheckError: no answer, or not a success.
    """
    async with UDPChecker(address, port) as checker:
        await checker.binding()


async def connect(address: IPAddress, port: int) -> None:
    """Open a TCP connection and close it.

    Raises:
        SelfCheckError: it is refused or times out.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(str(address), port)
        writer.close()
    except OSError:
        raise SelfCheckError("no connection over TCP") from None


def user_of(key: Key) -> str:
    """What follows the expiry in the user names of :func:`allocate` with this key."""
    return turn_credentials.mint(key, SUBJECT, 0)[0].partition(":")[2]


async def allocate(
    address: IPAddress,
    port: int,
    key: Key,
    relay_version: int,
    denied_peers: Iterable[IPAddress] = (),
) -> int | None:
    """Allocate with a credential minted from ``key``, ask for permissions, and give the relay port back.

    Args:
        address: the server's.
        port: the server's.
        key: minted from.
        relay_version: IP version of the server's relay address.
        denied_peers: peers of that IP version to which a permission must be refused.

    Returns:
        The relay port that was used, or ``None`` from a full server: that proves the key, but no peer.

    Raises:
        PeerPolicyError: one of them is permitted.
        SelfCheckError: no answer, the key is refused, or another error.
    """
    for _ in range(3):
        async with UDPChecker(address, port) as checker:
            expires = int(time.time()) + CREDENTIAL_SECONDS
            client = LongTermClient(*turn_credentials.mint(key, SUBJECT, expires))
            answer = await checker.request(client, Method.ALLOCATE, allocate_attributes(relay_version))
            if answer.error == ALLOCATION_MISMATCH:
                continue  # the kernel gave us the port of a client that left within the last two seconds
            if answer.error in FULL:
                return None
            if answer.error is not None:
                raise SelfCheckError(f"Allocate with key {key.kid} is refused with {answer.error}")
            try:
                await _check_denied(checker, client, denied_peers)
            finally:
                released = await checker.request(client, Method.REFRESH, [lifetime_attribute(0)])
            if released.error is not None:
                raise SelfCheckError(f"Refresh is refused with {released.error}")
            relayed = answer.address(Attribute.XOR_RELAYED_ADDRESS)
            if relayed is None:
                raise SelfCheckError("Allocate gave no relay address")
            return relayed[1]
    raise SelfCheckError("Allocate is refused as a repetition")


async def _check_denied(checker: UDPChecker, client: LongTermClient, peers: Iterable[IPAddress]) -> None:
    for peer in peers:
        answer = await checker.request(client, Method.CREATE_PERMISSION, peer=(peer, PEER_PORT))
        if answer.error is None:
            raise PeerPolicyError(f"the peer policy is not enforced: {peer} is permitted")
        if answer.error != FORBIDDEN:
            raise SelfCheckError(f"CreatePermission is refused with {answer.error}")
