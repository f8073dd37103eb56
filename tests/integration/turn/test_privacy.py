"""Nothing of clients, peers or keys leaves the agent."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from callcluster_common.keyset import Key
from kit.eventually import eventually
from kit.turn_agent import MakeAgent, key_set
from kit.turn_client import EchoPeer, TURNClient, credential

CLIENT = "127.77.66.55"
PEER = "127.88.77.66"
STRANGER = "9999999999:kx.canary-of-a-stranger"


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue  # ended in the meantime
    return found


async def test_no_canary_is_logged_measured_or_on_a_command_line(
    make_agent: MakeAgent, k1: Key, k2: Key
) -> None:
    async with make_agent(LOG_LEVEL="debug") as agent:
        await agent.ready()
        user, password = credential(k1, "canary of a member")
        ports = iter(range(agent.peer_port + 1, agent.peer_port + 5))
        async with (
            EchoPeer((PEER, agent.peer_port)) as peer,
            TURNClient(agent.server, (user, password), (CLIENT, next(ports))) as member,
            TURNClient(agent.server, (STRANGER, "canary-password"), (CLIENT, next(ports))) as stranger,
        ):
            assert (await member.allocate()).error is None
            assert (await member.bind_channel(peer.address)).error is None
            assert await member.echo(b"canary of a packet")
            assert (await member.permit("169.254.169.254")).error == 403
            assert (await stranger.allocate()).error == 401
            await agent.rotate(key_set(k1, k2))
            await agent.rotate(key_set(k2))
            assert (await agent.post("/revoke", {"kid": "k1"}))[0] == 200
            await member.refresh()
            arguments = command_lines()
            metrics = await agent.metrics_text()
            report = str(await agent.report())
            assert (await agent.post("/revoke", {"kid": "canary"}))[0] == 200
        coturn = agent.coturn_pid
        environment = Path(f"/proc/{coturn}/environ").read_bytes()
        secret_files = [path for path in agent.state.iterdir() if path.suffix not in ("-shm",)]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in secret_files}
        config = (agent.state / "turnserver.conf").read_text()
        agent.terminate()
        await agent.ended()

    cli_password = next(line for line in config.splitlines() if line.startswith("cli-password=")).partition(
        "="
    )[2]
    private = {
        "key 1": k1.secret,
        "key 2": k2.secret,
        "control token": agent.token.secret,
        "command line password": cli_password,
        "credential": password,
    }
    told = {"log": agent.log, "metrics": metrics, "report": report, "argv": "\n".join(arguments)}
    for place, text in told.items():
        for name, canary in private.items():
            assert canary not in text, f"{name} in {place}"
    for place in ("log", "metrics", "report"):
        for canary in (
            CLIENT,
            PEER,
            "169.254.169.254",
            user,
            user.partition(".")[2],
            "canary-of",
            "of a packet",
        ):
            assert canary not in told[place], f"{canary} in {place}"
    assert environment == b""
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert agent.log.count("key revoked") == 2


async def test_what_was_refused_is_counted_by_code(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        name = "callcluster_turn_refused_requests_total"
        before = await agent.metric(name, code="403")
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None
            assert (await client.permit("10.0.0.1")).error == 403
        await eventually(lambda: agent.metric_is(name, before + 1, code="403"))


async def test_traffic_is_counted_when_a_session_ends(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        name = "callcluster_turn_relayed_bytes_total"
        before = await agent.metric(name, leg="peer", direction="received")
        async with EchoPeer(("127.0.0.1", agent.peer_port)) as peer, agent.client(k1) as client:
            assert (await client.allocate()).error is None
            assert (await client.bind_channel(peer.address)).error is None
            for _ in range(10):
                assert await client.echo(bytes(1000))
            assert (await client.refresh(0)).error is None
        async with asyncio.timeout(30):
            while await agent.metric(name, leg="peer", direction="received") < before + 10_000:
                await asyncio.sleep(0.05)
