"""The client's side of TURN authentication (RFC 8489 section 9.2), without I/O: bytes out, bytes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from callcluster_common import stun
from callcluster_common.stun import Attribute, IPAddress, Kind, Message, Method, STUNError

UDP_TRANSPORT = bytes([17, 0, 0, 0])
"""Value of REQUESTED-TRANSPORT (RFC 8656 section 18.7)."""
IPV6_FAMILY = bytes([2, 0, 0, 0])
"""Value of REQUESTED-ADDRESS-FAMILY (RFC 8656 section 18.6); without it a server gives IPv4."""

UNAUTHENTICATED = 401
STALE_NONCE = 438


def allocate_attributes(version: int) -> list[tuple[int, bytes]]:
    """What an Allocate request for a UDP relay address of that IP version says."""
    attributes: list[tuple[int, bytes]] = [(Attribute.REQUESTED_TRANSPORT, UDP_TRANSPORT)]
    if version == 6:
        attributes.append((Attribute.REQUESTED_ADDRESS_FAMILY, IPV6_FAMILY))
    return attributes


def lifetime_attribute(seconds: int) -> tuple[int, bytes]:
    """What a Refresh request says; 0 ends the allocation."""
    return Attribute.LIFETIME, seconds.to_bytes(4, "big")


@dataclass(frozen=True)
class _Request:
    """A request that may have to be made again under another nonce, and so another transaction id."""

    method: Method
    attributes: tuple[tuple[int, bytes], ...]
    peer: tuple[IPAddress, int] | None

    def message(self) -> Message:
        transaction = stun.new_transaction()
        attributes = self.attributes
        if self.peer is not None:
            value = stun.xor_address(*self.peer, transaction)
            attributes = (*attributes, (Attribute.XOR_PEER_ADDRESS, value))
        return Message(self.method, Kind.REQUEST, attributes, transaction)


class LongTermClient:
    """Makes requests under one TURN credential and reads their answers, one request at a time."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._realm = b""
        self._nonce = b""
        self._key: bytes | None = None
        self._request: _Request | None = None
        self._transaction = b""
        self._retried = False

    def request(
        self,
        method: Method,
        attributes: Sequence[tuple[int, bytes]] = (),
        *,
        peer: tuple[IPAddress, int] | None = None,
    ) -> bytes:
        """Start a request, about a ``peer`` where given; it replaces one that is still unanswered."""
        self._request = _Request(method, tuple(attributes), peer)
        self._retried = False
        return self._encoded(self._request)

    def receive(self, data: bytes) -> Message | bytes | None:
        """Take what arrived.

        Returns:
            The answer; or bytes to send, where the server asks for (new) authentication; or ``None`` for
            data that answers no request of ours, among them success answers that are not authentic.
        """
        try:
            answer = stun.parse(data)
            error = answer.error
        except STUNError:
            return None
        if self._request is None or answer.transaction != self._transaction:
            return None
        if answer.kind is Kind.SUCCESS:
            if self._key is None or not stun.is_authentic(data, self._key):
                return None
        elif error is None:
            return None
        elif self._is_challenge(error) and self._take_challenge(answer):
            self._retried = True
            return self._encoded(self._request)
        self._request = None
        return answer

    def _is_challenge(self, error: int) -> bool:
        """Whether to try again: never twice, so that a wrong password ends in its 401."""
        return not self._retried and error == (UNAUTHENTICATED if self._key is None else STALE_NONCE)

    def _take_challenge(self, answer: Message) -> bool:
        realm, nonce = answer.get(Attribute.REALM) or self._realm, answer.get(Attribute.NONCE)
        if not realm or not nonce:
            return False
        self._realm, self._nonce = realm, nonce
        self._key = stun.long_term_key(self._username, realm.decode(errors="replace"), self._password)
        return True

    def _encoded(self, request: _Request) -> bytes:
        message = request.message()
        self._transaction = message.transaction
        if self._key is None:
            return stun.encode(message)
        credentials = (
            (int(Attribute.USERNAME), self._username.encode()),
            (int(Attribute.REALM), self._realm),
            (int(Attribute.NONCE), self._nonce),
        )
        signed = replace(message, attributes=(*message.attributes, *credentials))
        return stun.encode(signed, self._key)
