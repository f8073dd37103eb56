import pytest
from callcluster_signaling.handshake import holds_credentials
from kit.sig_client import token


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
