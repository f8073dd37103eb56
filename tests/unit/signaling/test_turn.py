from callcluster_common.directive import Directive
from callcluster_common.keyset import Key, KeySet
from callcluster_common.turn_credentials import password
from callcluster_signaling.turn import ice_servers

KEYS = KeySet(mint="k2", keys=(Key("k1", "a" * 32), Key("k2", "b" * 32)))
DIRECTIVE = Directive(
    turn_uris=("turn:t.example:3478?transport=udp",),
    stun_uris=("stun:t.example:3478",),
    turn_ttl_seconds=600,
)


def test_credentials_come_from_the_minting_key_and_hide_the_session() -> None:
    servers, ttl = ice_servers(DIRECTIVE, KEYS, "sid-123456", 1_000.9)
    assert ttl == 600
    turn = servers[1]
    assert turn.username.startswith("1600:k2.")
    assert "sid-123456" not in turn.username
    assert turn.credential == password("b" * 32, turn.username)
    assert servers[0].urls == ["stun:t.example:3478"]
    assert not servers[0].username


def test_without_keys_there_is_stun_alone() -> None:
    servers, ttl = ice_servers(DIRECTIVE, None, "s", 0)
    assert ([server.urls for server in servers], ttl) == ([["stun:t.example:3478"]], 0)


def test_without_a_directive_there_is_nothing() -> None:
    assert ice_servers(None, KEYS, "s", 0) == ([], 0)
    assert ice_servers(Directive(), KEYS, "s", 0) == ([], 0)
