import pytest
from callcluster_signaling.origins import allowed


@pytest.mark.parametrize(
    ("origin", "ok"),
    [
        ("https://a.example", True),
        ("https://A.example", True),
        (None, True),
        ("https://b.example", False),
        ("http://a.example", False),
        ("https://a.example.evil.example", False),
        ("https://a.example:444", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_listed_origins_may_open_a_socket(origin: str | None, ok: bool) -> None:
    assert allowed(origin, ("https://a.example",)) is ok


def test_a_star_lets_everybody_in() -> None:
    assert allowed("https://b.example", ("*",))
