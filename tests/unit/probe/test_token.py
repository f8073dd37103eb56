import jwt
from callcluster_probe.token import LIFETIME_S, mint

SECRET = "s" * 32
NOW = 4_000_000_000


def test_an_independent_library_accepts_the_token():
    claims = jwt.decode(
        mint(SECRET, "room", "probe-first", NOW),
        SECRET,
        ["HS256"],
        audience="callcluster",
        options={"verify_iat": False},
    )
    assert claims["room"] == "room"
    assert claims["sub"] == "probe-first"
    assert claims["exp"] == NOW + LIFETIME_S
