"""The 45 probe addresses, against the agent's own configuration in a network of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kit.turn_peers import PUBLIC, SPECIAL

RUNNER = Path(__file__).with_name("peer_matrix.py")
IN_NAMESPACE = """
ip link set lo up &&
ip addr add 10.99.0.1/32 dev lo &&
ip -6 addr add fd99::1/128 dev lo nodad &&
exec "$@"
"""


def unavailable() -> str | None:
    if os.geteuid() != 0:
        return "a network namespace needs root"
    if not shutil.which("ip"):
        return "iproute2 is not installed"
    made = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return None if made.returncode == 0 else "no network namespace can be made here"


REASON = unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def verdicts(*arguments: str) -> dict[str, int | None]:
    """Error of CreatePermission for each address, ``None`` for success."""
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", IN_NAMESPACE, "sh", sys.executable, str(RUNNER), *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers: dict[str, int | None] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_all_45_addresses_are_judged_right() -> None:
    answers = {**verdicts("10.99.0.1"), **verdicts("fd99::1")}

    assert len(answers) == len(PUBLIC) + len(SPECIAL) == 45
    assert {address for address in PUBLIC if answers[address] is not None} == set()
    assert {address: answers[address] for address in SPECIAL if answers[address] != 403} == {}


def test_only_allowed_peers_are_left_where_all_are_denied() -> None:
    answers = verdicts("10.99.0.1", "DENIED_PEER_CIDRS=0.0.0.0/0,::/0", "ALLOWED_PEER_CIDRS=192.168.1.1/32")

    assert {address for address, error in answers.items() if error is None} == {"192.168.1.1"}


def test_only_allowed_peers_are_left_where_all_of_ipv6_is_denied() -> None:
    allowed = "2a01:4f8::/64"
    answers = verdicts("fd99::1", "DENIED_PEER_CIDRS=0.0.0.0/0,::/0", f"ALLOWED_PEER_CIDRS={allowed}")

    assert {address for address, error in answers.items() if error is None} == {"2a01:4f8::1"}
