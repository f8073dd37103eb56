"""What keeps `callcluster` from starting is said in one line."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from kit.local_up import ALONE, callcluster, nothing_is_left

pytestmark = pytest.mark.timeout(120)


async def test_a_busy_port_ends_it_with_one_line_that_helps(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        code, output = await callcluster("up", "--port", str(number), runtime_directory=directory)
    assert code == 2
    assert output.splitlines()[-1] == (
        f"callcluster up: port {number} is in use by another program; choose another with --port N"
    )
    assert nothing_is_left(directory)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [\n", "callcluster up: x.yaml:2: "),
        ("kind: Pod\n", "callcluster up: x.yaml:1: kind: Pod (None) is not known here"),
        ("\udcff", "callcluster up: x.yaml: is not text in UTF-8 (byte 0)"),
    ],
)
async def test_a_bad_file_ends_it_with_one_line(directory: Path, text: str, said: str) -> None:
    (directory / "x.yaml").write_bytes(text.encode(errors="surrogateescape"))
    code, output = await callcluster("up", "x.yaml", runtime_directory=directory)
    assert code == 2
    assert output.startswith(said)
    assert output.count("\n") == 1


async def test_an_endless_file_ends_it_with_one_line(directory: Path) -> None:
    code, output = await callcluster("up", "/dev/zero", runtime_directory=directory)
    assert code == 2
    assert output == ("callcluster up: /dev/zero: is larger than 1 MiB; an API server would refuse it\n")


async def test_a_turn_port_that_no_callcluster_may_have_ends_it_with_one_line(
    directory: Path, port: int
) -> None:
    for number in ("5300", "99999"):
        code, output = await callcluster(
            "up", *ALONE, "--port", str(port), "--turn-port", number, runtime_directory=directory
        )
        assert code == 2
        assert output.startswith(f"callcluster up: --turn-port {number}: ")
        assert output.count("\n") == 1


async def test_a_runtime_directory_of_a_long_name_ends_it_with_one_line(directory: Path, port: int) -> None:
    long = directory / ("x" * 110)
    long.mkdir()
    code, output = await callcluster("up", *ALONE, "--port", str(port), runtime_directory=long)
    assert code == 2
    assert "can't hold a socket" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert nothing_is_left(long)


async def test_a_missing_file_ends_it_with_one_line(directory: Path) -> None:
    code, output = await callcluster("up", "x.yaml", runtime_directory=directory)
    assert (code, output) == (2, "callcluster up: x.yaml: can't be read: No such file or directory\n")


async def test_another_command_without_a_running_instance_says_what_to_do(directory: Path) -> None:
    code, output = await callcluster("get", runtime_directory=directory)
    assert code == 1
    assert output == "Error: no callcluster up is running; start one with: callcluster up\n"


async def test_a_directory_that_others_may_enter_is_not_trusted(directory: Path) -> None:
    (directory / f"callcluster-{os.getuid()}").mkdir(mode=0o755)
    code, output = await callcluster("get", runtime_directory=directory)
    assert code == 1
    assert "is not a directory of yours alone" in output
