"""What arrives at the clients' port before there is a socket: plain requests, and handshakes to refuse."""

from __future__ import annotations

import http
import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_plus

from callcluster_common.messages.types import BEARER_SUBPROTOCOL_PREFIX, SUBPROTOCOL, SUBPROTOCOL_PREFIX
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import MultipleValuesError
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from callcluster_signaling import origins
from callcluster_signaling.limits import Doorkeeper, address_group
from callcluster_signaling.metrics import Counts
from callcluster_signaling.site import Site, plain

CREDENTIAL_NAMES = re.compile(r"token|jwt|auth|bearer|secret|passw|credential|api[_-]?key", re.IGNORECASE)
JWT = re.compile(r"(?<![\w.-])eyJ[\w-]+\.[\w-]+\.")
"""Begins at the start of a word alone: from every ``eyJ`` on, a long line would take very long."""
CROWDED_SECONDS = 10
MOST_DECODINGS = 3
"""Of a request target, in the search for credentials: proxies and pages encode what is encoded already."""


class Handshakes:
    """Answers requests, and lets handshakes through."""

    def __init__(
        self,
        site: Site,
        door: Doorkeeper,
        cors_origins: tuple[str, ...],
        counts: Counts,
        *,
        draining: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        self._site = site
        self._door = door
        self._origins = cors_origins
        self._counts = counts
        self._draining = draining
        self._now = now

    def process(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request; ``None`` lets a handshake go on."""
        try:
            return self._answer(connection, request)
        except MultipleValuesError:
            return plain(http.HTTPStatus.BAD_REQUEST, "a header is there twice")

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            if request.method not in ("GET", "HEAD"):
                return plain(http.HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD", Allow="GET, HEAD")
            if holds_credentials(request.path):
                return plain(http.HTTPStatus.BAD_REQUEST, "credentials never go into the URL")
            etag = request.headers.get("If-None-Match")
            return self._site.answer(request.path, etag, head=request.method == "HEAD")
        refusal = self._refuse(connection, request)
        if refusal is None:
            return None
        reason, response = refusal
        self._counts.refused_handshakes[reason] += 1
        return response

    def _refuse(self, connection: ServerConnection, request: Request) -> tuple[str, Response] | None:
        if holds_credentials(request.path):
            text = "a token never goes into the URL: send it in hello, or as the subprotocol bearer.<jwt>"
            return "credentials_in_url", plain(http.HTTPStatus.BAD_REQUEST, text)
        if request.path.partition("?")[0] not in ("/", "/ws"):
            return "path", plain(http.HTTPStatus.NOT_FOUND, "the socket is at / or /ws")
        if self._draining():
            text = "this server is going away; try again"
            return "draining", plain(http.HTTPStatus.SERVICE_UNAVAILABLE, text, Retry_After="1")
        if not origins.allowed(request.headers.get("Origin"), self._origins):
            return "origin", plain(http.HTTPStatus.FORBIDDEN, "this origin is not in CORS_ORIGINS")
        address = address_of(connection)
        if self._door.crowded(address):
            text = "too many open sockets from this address (SOCKETS_PER_ADDRESS)"
            wait = str(CROWDED_SECONDS)
            return "sockets", plain(http.HTTPStatus.TOO_MANY_REQUESTS, text, Retry_After=wait)
        delay = self._door.knock(address, self._now())
        if delay:
            text = "too many connections from this address"
            return "rate", plain(http.HTTPStatus.TOO_MANY_REQUESTS, text, Retry_After=str(int(delay) + 1))
        return None


def holds_credentials(target: str) -> bool:
    """Whether a request target seems to carry a secret: URLs end up in logs and histories."""
    for _ in range(MOST_DECODINGS):
        if _names_credentials(target):
            return True
        decoded = unquote_plus(target)
        if decoded == target:
            return False
        target = decoded
    return _names_credentials(target)


def _names_credentials(text: str) -> bool:
    parameters = re.split("[&;]", text.partition("?")[2])
    return bool(JWT.search(text)) or any(
        CREDENTIAL_NAMES.search(parameter.partition("=")[0]) for parameter in parameters
    )


def select_subprotocol(connection: ServerConnection, offers: Sequence[Subprotocol]) -> Subprotocol | None:
    """Agree to an unknown version as well: browsers show a page close codes, but no refused handshakes.

    Raises:
        NegotiationError: nothing offered is of this protocol.
    """
    if SUBPROTOCOL in offers:
        return Subprotocol(SUBPROTOCOL)
    for offer in offers:
        if offer.startswith(SUBPROTOCOL_PREFIX):
            return offer
    raise NegotiationError(f"the subprotocol {SUBPROTOCOL} must be offered")


def address_of(connection: ServerConnection) -> str:
    """The group of addresses that a connection comes from."""
    peer = connection.remote_address
    return address_group(peer[0]) if peer else ""


def offered_token(request: Request | None) -> str | None:
    """The token that came as a subprotocol."""
    if request is None:
        return None
    for header in request.headers.get_all("Sec-WebSocket-Protocol"):
        for offer in header.split(","):
            if offer.strip().startswith(BEARER_SUBPROTOCOL_PREFIX):
                return offer.strip().removeprefix(BEARER_SUBPROTOCOL_PREFIX)
    return None
