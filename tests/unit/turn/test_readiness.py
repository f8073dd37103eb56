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
