"""TURN over TLS, and certificates that change under it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from callcluster_common import stun
from callcluster_common.stun import Kind, Message, Method
from cryptography import x509
from kit.eventually import eventually
from kit.turn_agent import AgentProcess, MakeAgent
from kit.turn_certificates import EXPIRES, self_signed


class Files:
    """A projected certificate volume."""

    def __init__(self, directory: Path) -> None:
        self.cert = directory / "served.crt"
        self.key = directory / "served.key"

    def write(self, cert: bytes, key: bytes) -> None:
        self.cert.write_bytes(cert)
        self.key.write_bytes(key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def tls_agent(make_agent: MakeAgent, ports: range, files: Files) -> AgentProcess:
    return make_agent(
        TLS_LISTENING_PORT=str(ports.start + 1), TLS_CERT_FILE=str(files.cert), TLS_KEY_FILE=str(files.key)
    )


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def connection(
    agent: AgentProcess,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = unverified()
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.tls_port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def binding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Message:
    writer.write(stun.encode(Message(Method.BINDING, Kind.REQUEST)))
    async with asyncio.timeout(30):
        header = await reader.readexactly(20)
        return stun.parse(header + await reader.readexactly(int.from_bytes(header[2:4], "big")))


async def served_name(agent: AgentProcess) -> str:
    async with connection(agent) as (_, writer):
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()


async def serves(agent: AgentProcess, name: str) -> bool:
    return await served_name(agent) == f"CN={name}"


async def test_a_new_pair_is_served_without_ending_a_connection(
    make_agent: MakeAgent, ports: range, files: Files
) -> None:
    files.write(*self_signed("one.example"))
    async with tls_agent(make_agent, ports, files) as agent:
        await agent.ready()
        assert await serves(agent, "one.example")
        assert (
            await agent.metric("callcluster_turn_certificate_expiry_timestamp_seconds")
            == EXPIRES.timestamp()
        )
        coturn = agent.coturn_pid
        async with connection(agent) as (reader, writer):
            assert (await binding(reader, writer)).kind is Kind.SUCCESS

            files.write(*self_signed("two.example"))

            await eventually(lambda: serves(agent, "two.example"))
            assert (await binding(reader, writer)).kind is Kind.SUCCESS
        assert agent.coturn_pid == coturn


async def test_files_that_do_not_belong_together_are_kept_out(
    make_agent: MakeAgent, ports: range, files: Files
) -> None:
    files.write(*self_signed("one.example"))
    async with tls_agent(make_agent, ports, files) as agent:
        await agent.ready()
        files.cert.write_bytes(self_signed("two.example")[0])
        await eventually(lambda: agent.metric_is("callcluster_turn_certificate_errors_total", 1))
        assert await serves(agent, "one.example")

        # Not even a new start of coturn lets them in.
        agent.kill_coturn()
        await eventually(lambda: agent.metric_is("callcluster_turn_coturn_restarts_total", 1))
        await agent.ready()
        assert await serves(agent, "one.example")

        files.write(*self_signed("three.example"))
        await eventually(lambda: serves(agent, "three.example"))


async def test_it_waits_for_a_usable_pair(make_agent: MakeAgent, ports: range, files: Files) -> None:
    async with tls_agent(make_agent, ports, files) as agent:
        await eventually(lambda: agent.says("waiting for a usable TLS certificate"))
        files.write(*self_signed("one.example"))
        await agent.ready()
        assert await serves(agent, "one.example")


async def test_old_protocols_are_refused(make_agent: MakeAgent, ports: range, files: Files) -> None:
    files.write(*self_signed("one.example"))
    async with tls_agent(make_agent, ports, files) as agent:
        await agent.ready()
        context = unverified()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        assert await handshake(agent, context)

        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.deprecated_call():
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        # It is refused without a word.
        assert not await handshake(agent, context, within=3)


async def handshake(agent: AgentProcess, context: ssl.SSLContext, within: float = 30) -> bool:
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection("127.0.0.1", agent.tls_port, ssl=context)
    except OSError:
        return False
    writer.transport.abort()
    return True
