"""Real agents, each with its own files and ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from callcluster_common.keyset import Key
from kit.turn_agent import AgentProcess, MakeAgent, claimed_ports, key_set, new_key, unavailable

ITEM_SECONDS = 240
"""For a test, on a machine that is busy with others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = unavailable()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.coturn)
            item.add_marker(pytest.mark.timeout(ITEM_SECONDS))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def ports() -> Iterator[range]:
    with claimed_ports() as block:
        yield block


@pytest.fixture
def k1() -> Key:
    return new_key("k1")


@pytest.fixture
def k2() -> Key:
    return new_key("k2")


@pytest.fixture
def make_agent(tmp_path: Path, ports: range, k1: Key) -> MakeAgent:
    """Makes the agent of a test: key ``k1`` unless told otherwise, settings as keyword arguments."""

    def make(*, keys: bool = True, relay_ports: int = 32, **variables: str) -> AgentProcess:
        return AgentProcess(tmp_path, ports, key_set(k1) if keys else None, variables, relay_ports)

    return make
