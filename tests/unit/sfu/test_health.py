"""The check of the own port, against sockets that answer, lie, or say nothing."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from callcluster_common import stun
from callcluster_common.stun import Attribute, Kind, Message, Method
from callcluster_sfu import health
from callcluster_sfu.health import Credentials, Health
from kit.eventually import eventually

Answer = Callable[[bytes, Credentials], bytes | None]


def success(request: bytes, credentials: Credentials, password: bytes | None = None) -> bytes:
    """An answer as the plane writes it."""
    asked = stun.parse(request)
    address = stun.xor_address(ipaddress.ip_address("127.0.0.1"), 5000, asked.transaction)
    mapped = (Attribute.XOR_MAPPED_ADDRESS, address)
    answer = Message(Method.BINDING, Kind.SUCCESS, (mapped,), asked.transaction)
    return stun.encode(answer, password or credentials.password)


def of_another_check(request: bytes, credentials: Credentials) -> bytes:
    """A right answer, but to what nobody asks any more."""
    return success(stun.encode(Message(Method.BINDING, Kind.REQUEST)), credentials)


def unsigned(request: bytes, credentials: Credentials) -> bytes:
    asked = stun.parse(request)
    return stun.encode(Message(Method.BINDING, Kind.SUCCESS, (), asked.transaction))


class Port(asyncio.DatagramProtocol):
    """A UDP port that answers as it is told to."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.answer: Answer = success

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self.answer(data, self.credentials)
        if answer is not None:
            self.transport.sendto(answer, addr)

    @property
    def number(self) -> int:
        number: int = self.transport.get_extra_info("sockname")[1]
        return number


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    monkeypatch.setattr(health, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(
        lambda: Port(Credentials()), local_addr=("127.0.0.1", 0)
    )
    yield made
    transport.close()


@pytest.fixture
async def watched(port: Port) -> AsyncIterator[Health]:
    made = Health("0.0.0.0", port.number, port.credentials)
    watching = asyncio.create_task(made.watch())
    yield made
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_port_that_answers_is_well_and_one_that_falls_silent_is_not(
    port: Port, watched: Health
) -> None:
    assert watched.problem == "the UDP port was not checked yet"
    await eventually(lambda: watched.problem is None)
    port.answer = lambda *_: None
    await eventually(lambda: watched.problem == "the UDP port does not answer")
    port.answer = success
    await eventually(lambda: watched.problem is None)


@pytest.mark.parametrize(
    "lie",
    [
        lambda request, credentials: success(request, credentials, b"another password"),
        of_another_check,
        unsigned,
        lambda request, credentials: success(request, credentials)[:-4],
        lambda request, credentials: request,
        lambda request, credentials: b"",
    ],
)
async def test_what_is_no_signed_answer_to_this_check_does_not_count(
    port: Port, watched: Health, lie: Answer
) -> None:
    port.answer = lie
    await eventually(lambda: watched.problem == "the UDP port does not answer")


def test_credentials_show_nowhere() -> None:
    credentials = Credentials()
    assert credentials.password.decode() not in repr(credentials)
    assert credentials.ufrag.decode() not in repr(credentials)
