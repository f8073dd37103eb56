"""Readiness as a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from callcluster_turn.readiness import FILE, ReadinessFile


def test_it_says_ok_or_what_is_wrong(tmp_path: Path) -> None:
    readiness = ReadinessFile(tmp_path)
    for problem, line in ((None, "ok\n"), ("no key set yet", "no key set yet\n"), (None, "ok\n")):
        readiness.tell(problem)
        assert (tmp_path / FILE).read_text() == line
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_it_is_written_only_when_something_changed(tmp_path: Path) -> None:
    readiness = ReadinessFile(tmp_path)
    readiness.tell(None)
    written = (tmp_path / FILE).stat()
    readiness.tell(None)
    assert (tmp_path / FILE).stat().st_ino == written.st_ino


def test_what_could_not_be_written_is_written_the_next_time(tmp_path: Path) -> None:
    readiness = ReadinessFile(tmp_path / "later")
    with pytest.raises(OSError, match="later"):
        readiness.tell(None)
    (tmp_path / "later").mkdir()
    readiness.tell(None)
    assert (tmp_path / "later" / FILE).read_text() == "ok\n"


@pytest.fixture
def obstacle(tmp_path: Path) -> Path:
    """While it is a directory, nothing new can be written: file modes would not stop root."""
    return (tmp_path / FILE).with_suffix(".new")


def test_an_old_ok_does_not_stay_where_nothing_new_can_be_written(tmp_path: Path, obstacle: Path) -> None:
    readiness = ReadinessFile(tmp_path)
    readiness.tell(None)
    obstacle.mkdir()
    with pytest.raises(IsADirectoryError):
        readiness.tell("no key set yet")
    assert not (tmp_path / FILE).exists()
    obstacle.rmdir()
    readiness.tell(None)
    assert (tmp_path / FILE).read_text() == "ok\n", "as before the fault, and yet it has to be said anew"


def test_a_disk_that_refuses_is_logged_once_and_so_is_its_end(
    tmp_path: Path, obstacle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    readiness = ReadinessFile(tmp_path)
    obstacle.mkdir()
    for _ in range(5):
        readiness.keep_telling(None)
    (record,) = caplog.records
    assert "Is a directory" in record.getMessage()
    assert record.exc_info is None
    obstacle.rmdir()
    for _ in range(5):
        readiness.keep_telling(None)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert (tmp_path / FILE).read_text() == "ok\n"
