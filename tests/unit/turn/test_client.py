"""Long-term authentication as a client does it."""

from __future__ import annotations

import ipaddress

from callcluster_common import stun
from callcluster_common.stun import Attribute, Kind, Message, Method
from callcluster_turn.client import LongTermClient

REALM = b"calls.example"
KEY = stun.long_term_key("user", "calls.example", "password")
PEER = (ipaddress.ip_address("198.51.100.7"), 5000)


def error(request: bytes, code: int, *attributes: tuple[int, bytes]) -> bytes:
    asked = stun.parse(request)
    value = bytes([0, 0, code // 100, code % 100])
    return stun.encode(
        Message(asked.method, Kind.ERROR, ((Attribute.ERROR_CODE, value), *attributes), asked.transaction)
    )


def success(request: bytes, key: bytes = KEY) -> bytes:
    asked = stun.parse(request)
    return stun.encode(Message(asked.method, Kind.SUCCESS, (), asked.transaction), key)


def challenge(request: bytes, nonce: bytes = b"nonce-1", code: int = 401) -> bytes:
    return error(request, code, (Attribute.REALM, REALM), (Attribute.NONCE, nonce))


def authenticated() -> LongTermClient:
    """A client that has been through its first challenge."""
    client = LongTermClient("user", "password")
    retry = client.receive(challenge(client.request(Method.ALLOCATE)))
    assert isinstance(retry, bytes)
    assert isinstance(client.receive(success(retry)), Message)
    return client


def test_the_first_request_carries_no_credential() -> None:
    request = LongTermClient("user", "password").request(Method.ALLOCATE)

    assert stun.parse(request).get(Attribute.USERNAME) is None


def test_a_challenge_is_answered_in_a_new_transaction() -> None:
    client = LongTermClient("user", "password")
    first = client.request(Method.ALLOCATE)

    retry = client.receive(challenge(first))

    assert isinstance(retry, bytes)
    message = stun.parse(retry)
    assert message.get(Attribute.USERNAME) == b"user"
    assert message.get(Attribute.NONCE) == b"nonce-1"
    assert stun.is_authentic(retry, KEY)
    assert message.transaction != stun.parse(first).transaction


def test_a_peer_is_masked_with_the_new_transaction() -> None:
    client = LongTermClient("user", "password")

    retry = client.receive(challenge(client.request(Method.CREATE_PERMISSION, peer=PEER)))

    assert isinstance(retry, bytes)
    assert stun.parse(retry).address(Attribute.XOR_PEER_ADDRESS) == PEER


def test_a_wrong_password_ends_in_its_401() -> None:
    client = LongTermClient("user", "wrong")
    retry = client.receive(challenge(client.request(Method.ALLOCATE)))
    assert isinstance(retry, bytes)

    answer = client.receive(challenge(retry, b"nonce-2"))

    assert isinstance(answer, Message)
    assert answer.error == 401


def test_a_stale_nonce_is_renewed_once() -> None:
    client = authenticated()

    retry = client.receive(challenge(client.request(Method.REFRESH), b"nonce-2", code=438))
    assert isinstance(retry, bytes)
    assert stun.parse(retry).get(Attribute.NONCE) == b"nonce-2"
    answer = client.receive(challenge(retry, b"nonce-3", code=438))

    assert isinstance(answer, Message)
    assert answer.error == 438


def test_a_success_without_the_servers_proof_is_ignored() -> None:
    client = authenticated()
    request = client.request(Method.REFRESH)

    assert client.receive(success(request, b"forged")) is None
    assert isinstance(client.receive(success(request)), Message)


def test_a_success_before_any_authentication_is_ignored() -> None:
    client = LongTermClient("user", "password")

    assert client.receive(success(client.request(Method.ALLOCATE))) is None


def test_answers_to_others_and_noise_are_ignored() -> None:
    client = authenticated()
    request = client.request(Method.REFRESH)
    other = stun.encode(Message(Method.REFRESH, Kind.SUCCESS), KEY)

    for data in (b"", b"noise", other, request):
        assert client.receive(data) is None


def test_an_answer_counts_once() -> None:
    client = authenticated()
    request = client.request(Method.REFRESH)

    assert isinstance(client.receive(success(request)), Message)
    assert client.receive(success(request)) is None


def test_a_challenge_without_a_nonce_is_the_answer() -> None:
    client = LongTermClient("user", "password")
    request = client.request(Method.ALLOCATE)

    answer = client.receive(error(request, 401, (Attribute.REALM, REALM)))

    assert isinstance(answer, Message)
    assert answer.error == 401
