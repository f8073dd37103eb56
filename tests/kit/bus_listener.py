"""A listener of the bus for tests in which nothing comes."""

from __future__ import annotations


class Nobody:
    """Fails when it hears of anything but the first connection."""

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        raise AssertionError(line)

    def on_stall(self, room: str, line: bytes) -> None:
        raise AssertionError(line)

    def on_post(self, data: bytes) -> None:
        raise AssertionError(data)

    def on_wanted(self, room: str) -> None:
        raise AssertionError(room)

    def on_return(self, wiped: bool) -> None:
        assert not wiped
