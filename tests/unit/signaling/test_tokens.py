import base64
import json
import re
from typing import Any

import jwt
import pytest
from callcluster_common.messages.types import Grants
from callcluster_signaling.tokens import Identity, TokenError, guest, verify
from hypothesis import given
from hypothesis import strategies as st
from kit.sig_client import SECRET, token


def _refused(made: str) -> TokenError:
    with pytest.raises(TokenError) as caught:
        verify(made, SECRET)
    assert made not in str(caught.value)
    return caught.value


def test_a_good_token_gives_grants_and_hides_its_subject() -> None:
    identity = verify(token("r1", sub="alice@example.org", jti="t-1", g={"mod": True}), SECRET)
    assert identity.grants.mod
    assert identity.grants.pub == ["mic", "cam", "screen"]
    assert "alice" not in identity.user
    assert "t-1" not in identity.jti
    assert identity.user == verify(token("r2", sub="alice@example.org"), SECRET).user


def test_an_expired_token_says_so() -> None:
    assert _refused(token(ttl=-60)).expired


@pytest.mark.parametrize("claim", ["exp", "sub", "room", "aud"])
def test_a_missing_claim_is_named(claim: str) -> None:
    without: dict[str, Any] = {claim: None}
    error = _refused(token(**without))
    assert claim in str(error)
    assert not error.expired


@pytest.mark.parametrize(
    "made",
    [
        "not-a-token",
        token(secret="another-secret-of-sufficient-length-000"),
        token(aud="elsewhere"),
        token(aud=["x", "y"]),
        token(room=""),
        token(room="a b"),
        token(sub=""),
        token(g={"mod": "yes"}),
        token(g=[1]),
        token(sub="\ud800"),
        token(jti="\udfff"),
        token(exp=2**53 + 1),
        token(exp=10**300),
    ],
)
def test_other_tokens_are_refused(made: str) -> None:
    assert not _refused(made).expired


def test_other_algorithms_are_refused_under_the_right_secret() -> None:
    claims = {"sub": "u", "room": "r", "aud": "callcluster", "exp": 2**33}
    secret = SECRET * 2
    assert verify(jwt.encode(claims, secret, "HS256"), secret)
    for made in (jwt.encode(claims, secret, "HS512"), jwt.encode(claims, "", "none")):
        with pytest.raises(TokenError, match="HS256"):
            verify(made, secret)


def test_the_header_does_not_choose_the_algorithm() -> None:
    head, body, _ = token().split(".")
    fields = json.loads(base64.urlsafe_b64decode(head + "=="))
    fields["alg"] = "none"
    forged = base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()
    _refused(f"{forged}.{body}.")


@pytest.mark.parametrize(
    ("claim", "room", "allowed"),
    [
        ("r1", "r1", True),
        ("r1", "r10", False),
        ("r.1", "rx1", False),
        ("*", "anything~._-", True),
        ("team-*", "team-", True),
        ("team-*", "team-a-b", True),
        ("team-*", "a-team-x", False),
        ("*-weekly", "ops-weekly", True),
        ("*-weekly", "ops-weekly-2", False),
    ],
)
def test_the_room_claim_covers_exactly_its_pattern(claim: str, room: str, allowed: bool) -> None:
    assert verify(token(claim), SECRET).may_enter(room) is allowed


def test_a_room_claim_of_many_stars_is_judged_at_once() -> None:
    # Matching it by a regular expression would outlast the test run.
    assert not verify(token("*a" * 60 + "*b"), SECRET).may_enter("a" * 128)


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
def test_a_star_stands_for_any_run_of_characters(claim: str, room: str) -> None:
    pattern = ".*".join(claim.split("*"))
    expected = re.fullmatch(pattern, room) is not None
    assert Identity("u", claim, Grants()).may_enter(room) is expected


def test_guests_differ_by_page_and_never_moderate() -> None:
    assert guest("page-1").user != guest("page-2").user
    assert not guest("page-1").grants.mod
    assert guest("page-1").exp is None
    assert not guest("page-1").expired(2**40)
