"""coturn's key table."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from callcluster_turn.keys import KeyTable


@pytest.fixture
def table(tmp_path: Path) -> KeyTable:
    table = KeyTable(tmp_path / "turndb", "calls.example")
    table.create()
    return table


def rows(table: KeyTable) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(table.path)) as connection:
        return sorted(connection.execute("SELECT realm, value FROM turn_secret"))


def test_a_new_table_accepts_no_key(table: KeyTable) -> None:
    assert rows(table) == []


def test_the_keys_of_an_earlier_run_are_gone(table: KeyTable) -> None:
    table.replace(["old"])

    KeyTable(table.path, "calls.example").create()

    assert rows(table) == []


def test_a_set_replaces_the_one_before(table: KeyTable) -> None:
    table.replace(["one", "two"])
    table.replace(["two", "three"])

    assert rows(table) == [("calls.example", "three"), ("calls.example", "two")]


def test_no_keys_empty_the_table(table: KeyTable) -> None:
    table.replace(["one"])
    table.replace([])

    assert rows(table) == []


def test_a_secret_under_two_key_ids_stands_there_once(table: KeyTable) -> None:
    table.replace(["one", "one"])

    assert rows(table) == [("calls.example", "one")]


def test_a_failed_change_leaves_the_table_as_it_was(table: KeyTable) -> None:
    table.replace(["one"])

    with pytest.raises(sqlite3.ProgrammingError):
        table.replace(["two", object()])  # type: ignore[list-item]  # what SQLite can't store

    assert rows(table) == [("calls.example", "one")]


def test_a_reader_is_not_kept_waiting_by_a_writer(table: KeyTable) -> None:
    table.replace(["one"])
    with closing(sqlite3.connect(table.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM turn_secret")
        # coturn sets no busy timeout either.
        with closing(sqlite3.connect(table.path, timeout=0)) as reader:
            assert reader.execute("SELECT value FROM turn_secret").fetchall() == [("one",)]


def test_a_writer_waits_for_another(table: KeyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callcluster_turn.keys.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(table.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            table.replace(["one"])
        writer.execute("ROLLBACK")

    table.replace(["one"])

    assert rows(table) == [("calls.example", "one")]


def test_only_its_owner_may_read_the_file(table: KeyTable) -> None:
    assert stat.S_IMODE(table.path.stat().st_mode) == 0o600
