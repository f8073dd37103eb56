from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from callcluster_signaling.handshake import Handshakes, holds_credentials
from callcluster_signaling.limits import Doorkeeper
from callcluster_signaling.metrics import Counts
from callcluster_signaling.site import Site
from kit.sig_client import token
from websockets.datastructures import Headers
from websockets.http11 import Request


@pytest.mark.parametrize(
    "target",
    [
        "/?token=abc",
        "/ws?access_token=abc",
        "/ws?a=b&JWT=abc",
        "/ws?a=b;bearer=abc",
        "/?Authorization=x",
        "/?api-key=x",
        "/?client_secret=x",
        "/?%74oken=abc",
        "/?q=" + token(),
        "/?q=Bearer+" + token(),
        "/?" + token(),
        "/ws/" + token(),
    ],
)
def test_what_looks_like_a_credential_is_seen(target: str) -> None:
    assert holds_credentials(target)


@pytest.mark.parametrize(
    "target", ["/", "/ws", "/?again", "/sdk/worker.js?v=1.2.3", "/?q=a.b.c", "/?e=eyJ"]
)
def test_other_queries_pass(target: str) -> None:
    assert not holds_credentials(target)


def test_an_address_with_all_its_sockets_is_asked_to_wait(tmp_path: Path) -> None:
    door, counts = Doorkeeper(2), Counts()
    handshakes = Handshakes(Site(tmp_path), door, ("*",), counts, draining=lambda: False, now=lambda: 0.0)
    request = Request("/", Headers({"Upgrade": "websocket"}))
    connection: Any = SimpleNamespace(remote_address=("198.41.0.4", 40_000))
    for _ in range(2):
        assert handshakes.process(connection, request) is None
        door.enter("198.41.0.4")
    refused = handshakes.process(connection, request)
    assert refused is not None
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert counts.refused_handshakes == {"sockets": 1}
    connection.remote_address = ("199.7.91.13", 40_000)
    assert handshakes.process(connection, request) is None
