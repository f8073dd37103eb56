"""A local node for the tests that ask for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from callcluster_operator.local.store import Store
from kit.local_node import Machine, running


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    store = Store()
    made = Machine(store, tmp_path / "run")
    async with running(made):
        yield made
