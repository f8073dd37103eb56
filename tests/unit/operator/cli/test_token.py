"""`callcluster token` without a running instance."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from callcluster_operator.cli.commands import callcluster
from callcluster_operator.cli.token import SecretError, mint
from click.testing import CliRunner

SECRET = "0123456789abcdef0123456789abcdef"


def decoded(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, SECRET, algorithms=["HS256"], audience="callcluster")
    return claims


def test_a_token_names_member_room_audience_times_and_grants() -> None:
    now = int(time.time())
    token = mint(SECRET.encode(), room="r1", user="ada", ttl=60, moderator=False, now=now)
    assert decoded(token) == {
        "sub": "ada",
        "room": "r1",
        "aud": "callcluster",
        "iat": now,
        "exp": now + 60,
        "g": {"pub": ["mic", "cam", "screen"], "msg": True, "mod": False},
    }


def test_a_short_secret_is_refused_in_words_that_help() -> None:
    with pytest.raises(SecretError, match=r"5 bytes; give it at least 32, e\.g\. from: openssl"):
        mint(b"short", room="r1", user="ada", ttl=60, moderator=False, now=0)


def test_the_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    arguments = ["token", "--room", "r1", "--user", "ada", "--mod"]
    run = CliRunner().invoke(callcluster, arguments, env={"JWT_SECRET": SECRET})
    assert run.exit_code == 0, run.output
    assert decoded(run.output.strip())["g"] == {
        "pub": ["mic", "cam", "screen"],
        "msg": True,
        "mod": True,
    }
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    other = {"JWT_SECRET": "x" * 32}
    run = CliRunner().invoke(callcluster, [*arguments, "--secret-file", str(file)], env=other)
    assert decoded(run.output.strip())["sub"] == "ada"


def test_without_a_secret_or_a_running_instance_it_says_what_to_do(tmp_path: Path) -> None:
    arguments = ["token", "--room", "r1", "--user", "ada"]
    run = CliRunner().invoke(
        callcluster, arguments, env={"XDG_RUNTIME_DIR": str(tmp_path), "JWT_SECRET": ""}
    )
    assert run.exit_code == 1
    assert run.output == "Error: no callcluster up is running; start one with: callcluster up\n"


def test_a_short_secret_ends_in_one_line() -> None:
    arguments = ["token", "--room", "r1", "--user", "ada"]
    run = CliRunner().invoke(callcluster, arguments, env={"JWT_SECRET": "short"})
    assert run.exit_code == 1
    assert run.output.startswith("Error: the JWT secret has 5 bytes")
    assert run.output.count("\n") == 1


@pytest.mark.parametrize(
    ("room", "user", "said"),
    [
        ("a b", "ada", "use 1 to 128 of A-Z a-z 0-9 . _ ~ -, and * for any"),
        ("r1\n", "ada", "use 1 to 128 of A-Z a-z 0-9 . _ ~ -, and * for any"),
        ("r1", "", "is empty; give the member an id"),
    ],
)
def test_what_signaling_would_refuse_is_not_signed(room: str, user: str, said: str) -> None:
    arguments = ["token", "--room", room, "--user", user]
    run = CliRunner().invoke(callcluster, arguments, env={"JWT_SECRET": SECRET})
    assert run.exit_code == 2
    assert said in run.output
