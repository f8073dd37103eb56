"""Follows the edits of a file: a good one is taken over, a bad one is told and ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from callcluster_common.watched_file import contents

from callcluster_operator.cluster import InvalidObjectError
from callcluster_operator.local.runtime import Runtime
from callcluster_operator.local.spec_file import SpecFile, SpecFileError, parse

INTERVAL_SECONDS = 0.3
MAX_BYTES = 1 << 20
"""More than an API server takes for one object."""


def load(file: Path) -> SpecFile:
    """Read a file.

    Raises:
        SpecFileError: it can't be read or used.
    """
    try:
        with file.open("rb") as opened:
            return _parsed(opened.read(MAX_BYTES + 1), file)
    except OSError as error:
        raise SpecFileError(f"{file}: can't be read: {error.strerror}") from None


async def follow(file: Path, runtime: Runtime, write: Callable[[str], None]) -> None:
    """Take over each edit, until cancelled."""
    async for data in contents(file, INTERVAL_SECONDS):
        try:
            spec = _parsed(data, file)
            if spec == runtime.spec:
                continue
            await runtime.follow(spec)
        except (SpecFileError, InvalidObjectError) as error:
            write(f"  {error}; the last good version stays in force")
            continue
        write(f"  {file} was edited and is in force")


def _parsed(data: bytes, file: Path) -> SpecFile:
    if len(data) > MAX_BYTES:
        raise SpecFileError(f"{file}: is larger than {MAX_BYTES >> 20} MiB; an API server would refuse it")
    try:
        return parse(data.decode(), str(file))
    except UnicodeDecodeError as error:
        raise SpecFileError(f"{file}: is not text in UTF-8 (byte {error.start})") from None
