"""Self-checks against servers that misbehave in known ways."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from callcluster_common import stun, turn_credentials
from callcluster_common.keyset import Key
from callcluster_common.stun import Attribute, Kind, Message, Method
from callcluster_turn import selfcheck
from callcluster_turn.selfcheck import PeerPolicyError, SelfCheckError

KEY = Key("k1", "s" * 40)
REALM = "calls.example"
LOOPBACK = ipaddress.ip_address("127.0.0.1")
RELAY_PORT = 20007
PEER = ipaddress.ip_address("169.254.169.254")

Behaviour = Callable[[Message], int | None]
"""The error for an authenticated request, ``None`` for success."""


class Server(asyncio.DatagramProtocol):
    """Answers as a TURN server would that accepts ``KEY``, but for what ``behave`` says."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.methods: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse(data)
        self.methods.append(request.method)
        username = request.get(Attribute.USERNAME)
        if request.method == Method.BINDING:
            value = stun.xor_address(LOOPBACK, addr[1], request.transaction)
            self.answer(request, addr, None, ((Attribute.XOR_MAPPED_ADDRESS, value),))
        elif username is None:
            self.answer(request, addr, 401, ((Attribute.REALM, REALM.encode()), (Attribute.NONCE, b"n")))
        else:
            value = stun.xor_address(LOOPBACK, RELAY_PORT, request.transaction)
            relayed = ((Attribute.XOR_RELAYED_ADDRESS, value),)
            self.answer(request, addr, self.behave(request), relayed, username.decode())

    def answer(
        self,
        request: Message,
        addr: tuple[str, int],
        error: int | None,
        attributes: tuple[tuple[Attribute, bytes], ...],
        username: str | None = None,
    ) -> None:
        key = None
        if username is not None:
            key = stun.long_term_key(username, REALM, turn_credentials.password(KEY.secret, username))
        if error is not None:
            attributes = ((Attribute.ERROR_CODE, bytes([0, 0, error // 100, error % 100])), *attributes)
        kind = Kind.SUCCESS if error is None else Kind.ERROR
        message = Message(request.method, kind, attributes, request.transaction)
        self.transport.sendto(stun.encode(message, key), addr)


@asynccontextmanager
async def server(behave: Behaviour) -> AsyncIterator[tuple[Server, int]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Server(behave), local_addr=("127.0.0.1", 0)
    )
    yield protocol, transport.get_extra_info("sockname")[1]
    transport.close()


def denies_peers(request: Message) -> int | None:
    return 403 if request.method == Method.CREATE_PERMISSION else None


async def test_an_allocation_is_made_and_given_back() -> None:
    async with server(denies_peers) as (turn, port):
        assert await selfcheck.allocate(LOOPBACK, port, KEY, 4, [PEER]) == RELAY_PORT

    assert turn.methods == [
        Method.ALLOCATE,
        Method.ALLOCATE,
        Method.CREATE_PERMISSION,
        Method.REFRESH,
    ]


async def test_a_permitted_peer_that_must_be_denied_is_told_and_the_port_given_back() -> None:
    async with server(lambda _: None) as (turn, port):
        with pytest.raises(PeerPolicyError, match=r"169\.254\.169\.254 is permitted"):
            await selfcheck.allocate(LOOPBACK, port, KEY, 4, [PEER])

    assert turn.methods[-1] == Method.REFRESH


@pytest.mark.parametrize("code", [486, 508])
async def test_a_full_server_proves_the_key(code: int) -> None:
    async with server(lambda _: code) as (_, port):
        assert await selfcheck.allocate(LOOPBACK, port, KEY, 4) is None


@pytest.mark.parametrize("code", [401, 403, 500])
async def test_a_refused_key_is_named_by_its_id(code: int) -> None:
    async with server(lambda _: code) as (_, port):
        with pytest.raises(SelfCheckError, match=f"key k1 is refused with {code}") as caught:
            await selfcheck.allocate(LOOPBACK, port, KEY, 4)

    assert KEY.secret not in str(caught.value)


async def test_a_port_that_was_just_used_is_left_for_another() -> None:
    refusals = iter([437])
    async with server(lambda r: next(refusals, None) if r.method == Method.ALLOCATE else None) as (_, port):
        assert await selfcheck.allocate(LOOPBACK, port, KEY, 4) == RELAY_PORT


async def test_a_server_that_does_not_know_the_key_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its success carries no proof that it knows the secret."""
    monkeypatch.setattr(selfcheck, "TIMEOUT_SECONDS", 0.3)
    async with server(lambda _: None) as (_, port):
        with pytest.raises(SelfCheckError, match="no answer"):
            await selfcheck.allocate(LOOPBACK, port, Key("k1", "t" * 40), 4)


async def test_binding_succeeds_where_it_is_answered() -> None:
    async with server(lambda _: None) as (turn, port):
        await selfcheck.binding(LOOPBACK, port)

    assert turn.methods == [Method.BINDING]


async def test_silence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "TIMEOUT_SECONDS", 0.3)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    with pytest.raises(SelfCheckError, match="no answer over UDP"):
        await selfcheck.binding(LOOPBACK, port)
    transport.close()
    with pytest.raises(SelfCheckError, match="no connection over TCP"):
        await selfcheck.connect(LOOPBACK, port)
