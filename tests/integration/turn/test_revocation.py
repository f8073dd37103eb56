"""One leaked key is revoked, and only its sessions end."""

from __future__ import annotations

import json

from callcluster_common.keyset import Key
from kit.turn_agent import MakeAgent, key_set
from kit.turn_client import EchoPeer

ENDED = (401, 437, 438)


async def test_the_sessions_of_a_revoked_key_end_and_no_others(
    make_agent: MakeAgent, k1: Key, k2: Key
) -> None:
    async with make_agent() as agent:
        await agent.ready()
        await agent.rotate(key_set(k1, k2))
        async with (
            EchoPeer(("127.0.0.1", agent.peer_port)) as peer,
            agent.client(k1, "thief") as thief,
            agent.client(k1, "thief") as accomplice,
            agent.client(k2, "member") as member,
        ):
            for client in (thief, accomplice, member):
                assert (await client.allocate()).error is None
                assert (await client.bind_channel(peer.address)).error is None
                assert await client.echo(b"before")
            await agent.rotate(key_set(k2))

            status, body = await agent.post("/revoke", {"kid": "k1"})

            assert status == 200
            assert json.loads(body) == {"ended": 2}
            for client in (thief, accomplice):
                assert not await client.echo(b"after", timeout=0.5)
                assert (await client.refresh()).error in ENDED
            assert await member.echo(b"after")
            assert (await member.refresh()).error is None
            assert await agent.metric("callcluster_turn_revoked_sessions_total") == 2


async def test_a_key_that_is_still_accepted_is_not_revoked(make_agent: MakeAgent) -> None:
    """Its holders would just come back."""
    async with make_agent() as agent:
        await agent.ready()

        status, body = await agent.post("/revoke", {"kid": "k1"})

        assert status == 409
        assert "take it out of the key set first" in body


async def test_a_malformed_revocation_is_refused(make_agent: MakeAgent) -> None:
    async with make_agent() as agent:
        await agent.ready()
        for body in (
            None,
            {},
            {"kid": 7},
            {"kid": "k1\r\ncs 1"},
            {"kid": "k1\n"},
            {"kid": "k1", "more": 1},
        ):
            assert (await agent.post("/revoke", body))[0] == 400


async def test_whoever_lacks_the_token_revokes_and_drains_nothing(make_agent: MakeAgent, k2: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        assert (await agent.post("/revoke", {"kid": "k1"}, token=k2.secret))[0] == 401
        assert (await agent.post("/drain", token=k2.secret))[0] == 401
        assert not await agent.is_draining()
