"""Which program stands for which image."""

from __future__ import annotations

import importlib.util
import stat
import sys
from pathlib import Path

import pytest
from callcluster_operator.local.programs import InstalledPrograms, ProgramMissingError, redis_config
from callcluster_operator.local.volumes import UnsupportedError
from callcluster_operator.objects import Object
from callcluster_operator.planning import names


def pod(component: str) -> Object:
    return {"metadata": {"labels": {names.COMPONENT_LABEL: component}}, "spec": {"containers": [{}]}}


def program(directory: Path, name: str) -> None:
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)


def test_signaling_and_turn_run_in_our_own_interpreter(tmp_path: Path) -> None:
    program(tmp_path, "turnserver")
    programs = InstalledPrograms(str(tmp_path))
    assert programs.program(pod(names.SIGNALING)) == (sys.executable, "-m", "callcluster_signaling")
    assert programs.program(pod(names.TURN)) == (sys.executable, "-m", "callcluster_turn")


def test_a_program_that_is_not_on_the_path_is_missing_and_says_how_to_get_it(tmp_path: Path) -> None:
    programs = InstalledPrograms(str(tmp_path))
    assert not programs.has_redis()
    assert not programs.has_turn()
    with pytest.raises(ProgramMissingError, match="apt install coturn"):
        programs.program(pod(names.TURN))


def test_a_program_that_is_left_out_is_missing_and_says_so(tmp_path: Path) -> None:
    program(tmp_path, "turnserver")
    with pytest.raises(ProgramMissingError, match="--without turn"):
        InstalledPrograms(str(tmp_path), frozenset({"turn"})).program(pod(names.TURN))


def test_an_sfu_needs_its_plane_and_a_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def found(name: str) -> object:
        asked.append(name)
        return object()

    monkeypatch.setattr("importlib.util.find_spec", found)
    with pytest.raises(ProgramMissingError, match="it needs Redis, and redis-server is not installed"):
        InstalledPrograms(str(tmp_path)).program(pod(names.SFU))
    program(tmp_path, "redis-server")
    assert InstalledPrograms(str(tmp_path)).program(pod(names.SFU))[1:] == ("-m", "callcluster_sfu")
    assert set(asked) == {"callcluster_sfu", "callcluster_plane"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ProgramMissingError, match="build it with: requirements/bootstrap dev"):
        InstalledPrograms(str(tmp_path)).program(pod(names.SFU))


def test_an_sfu_whose_plane_is_being_built_comes_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(str(packages))
    there = importlib.util.find_spec
    monkeypatch.setattr(
        # As where nothing is built, whatever this Python has.
        "importlib.util.find_spec",
        lambda name: there("plane_of_this_test" if name == "callcluster_plane" else name),
    )
    program(tmp_path, "redis-server")
    programs = InstalledPrograms(str(tmp_path), prefix=tmp_path)
    (tmp_path / ".building-plane").touch()
    with pytest.raises(ProgramMissingError, match="it is being built, and comes by itself"):
        programs.program(pod(names.SFU))
    (tmp_path / ".building-plane").unlink()
    with pytest.raises(ProgramMissingError, match="it is not built"):
        programs.program(pod(names.SFU))
    (packages / "plane_of_this_test.py").touch()
    assert programs.program(pod(names.SFU))[1:] == ("-m", "callcluster_sfu")


def test_an_unknown_component_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        InstalledPrograms("").program(pod("other"))


def test_redis_gets_its_password_in_a_private_file_and_listens_on_loopback(tmp_path: Path) -> None:
    argv = ("/bin/redis-server", "--port", "6379", "--requirepass", "s3cret")
    arranged = InstalledPrograms("").arranged(pod(names.REDIS), argv, tmp_path)
    config = Path(arranged[1])
    assert "s3cret" not in " ".join(arranged)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert config.read_text().splitlines() == ['bind "127.0.0.1"', 'port "6379"', 'requirepass "s3cret"']


def test_other_command_lines_stay_as_they_are(tmp_path: Path) -> None:
    assert InstalledPrograms("").arranged(pod(names.TURN), ("a", "b"), tmp_path) == ("a", "b")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--save", ""], 'save ""\n'),
        (["--requirepass", "--odd"], 'requirepass "--odd"\n'),
        (["--a", 'q"uo\\te', "--b", "1", "2"], 'a "q\\"uo\\\\te"\nb "1" "2"\n'),
    ],
)
def test_options_of_a_command_line_become_lines_of_a_file(options: list[str], text: str) -> None:
    assert redis_config(options) == text
