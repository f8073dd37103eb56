"""Members through a real signaling server: who comes, goes, comes back, and is not believed."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
from callcluster_probe.e2ee import keys
from callcluster_probe.light import LightMember
from callcluster_probe.member import MemberSettings
from callcluster_probe.signaling.client import SignalingError
from kit.eventually import eventually
from kit.signaling_server import signaling as start_signaling


@asynccontextmanager
async def members(*settings):
    made = [LightMember(each) for each in settings]
    try:
        for member in made:
            await member.start()
        yield made
    finally:
        await asyncio.gather(*(member.close() for member in made))


def settings(server, secret=b"s" * 32, room="room"):
    return MemberSettings((server.url,), room, secret, sends=("mic",))


async def hear_one_another(*made):
    """From now on, each decrypts frames of every other one."""

    def counts():
        return {
            (a.member.sid, sid): remote.counts["mic"].opened
            for a in made
            for sid, remote in a.member.keys.remotes.items()
        }

    before = counts()
    wanted = len(made) * (len(made) - 1)

    def grown():
        now = counts()
        return sum(now.get(pair, 0) > before.get(pair, 0) for pair in now) == wanted

    await eventually(grown, within=60)


async def test_three_members_hear_one_another_and_see_the_same_code(signaling):
    async with members(*[settings(signaling)] * 3) as made:
        await hear_one_another(*made)
        assert len({each.member.keys.security_code() for each in made}) == 1


async def test_without_a_room_secret_members_hear_one_another_too(signaling):
    async with members(*[settings(signaling, None)] * 2) as made:
        await hear_one_another(*made)


async def test_who_leaves_is_forgotten_and_the_key_changes(signaling):
    async with members(*[settings(signaling)] * 3) as made:
        await hear_one_another(*made)
        stays, also, leaves = made
        generation = stays.member.keys.own.newest[0] >> 8
        await leaves.close()
        await eventually(lambda: set(stays.member.links) == {also.member.sid})
        await eventually(lambda: stays.member.keys.own.newest[0] >> 8 != generation)
        await hear_one_another(stays, also)


async def test_members_renew_their_bundles_in_the_roster_and_are_trusted_for_longer(signaling, monkeypatch):
    monkeypatch.setattr(keys, "BUNDLE_AFTER_S", 2.0)
    monkeypatch.setattr(keys, "BUNDLE_SPREAD_S", 0)
    # Where the call is slow to begin, so many are renewed that the server refuses one.
    monkeypatch.setattr(keys, "BUNDLE_RETRY_S", 2.0)
    async with members(*[settings(signaling)] * 2) as (one, other):
        await hear_one_another(one, other)
        before = one.member.keys.remotes[other.member.sid].peer.exp
        await eventually(lambda: one.member.keys.remotes[other.member.sid].peer.exp > before + 3, within=60)
        await hear_one_another(one, other)


async def test_a_session_that_the_server_forgot_is_replaced_by_a_new_one(unused_port):
    port = {"PORT": str(unused_port), "GUEST_ACCESS": "true"}
    with start_signaling(**port) as server:
        one, other = LightMember(settings(server)), LightMember(settings(server))
        await one.start()
        await other.start()
        await hear_one_another(one, other)
        before = {one.member.sid, other.member.sid}
    try:
        with start_signaling(**port):  # another process on the same port, which knows nobody
            await eventually(lambda: one.rejoins == other.rejoins == 1, within=30)
            assert not before & {one.member.sid, other.member.sid}
            await hear_one_another(one, other)
    finally:
        await asyncio.gather(one.close(), other.close())


async def test_a_refusal_carries_the_servers_words(signaling):
    async with members(settings(signaling, room="a" * 10)):
        late = LightMember(MemberSettings((signaling.url,), "no such room!", os.urandom(32)))
        try:
            with pytest.raises(SignalingError, match="room"):
                await late.start()
        finally:
            await late.close()


async def test_a_join_that_is_given_up_as_it_succeeds_is_given_up(signaling):
    async with asyncio.timeout(20):
        member = LightMember(settings(signaling, room="given-up"))
        try:
            join = asyncio.create_task(member.member.join(15, retry=False))
            member.member._in_room.add_done_callback(lambda _: join.cancel())
            with pytest.raises(asyncio.CancelledError):
                await join
        finally:
            await member.close()
