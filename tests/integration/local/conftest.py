"""A local node, and places and ports of a test's own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from callcluster_operator.local.store import Store
from kit.local_node import Machine, running
from kit.ports import free_port, free_turn_port


@pytest.fixture
def directory() -> Iterator[Path]:
    """A runtime directory with a short name: a socket's path may have 107 characters."""
    made = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def turn_port() -> int:
    return free_turn_port()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    store = Store()
    made = Machine(store, tmp_path / "run")
    async with running(made):
        yield made
