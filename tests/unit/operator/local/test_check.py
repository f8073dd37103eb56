"""When the check of `callcluster up` waits, when it goes on, and how it says what it did without."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from callcluster_operator.local import check as checking
from callcluster_operator.local.runtime import Runtime
from callcluster_operator.local.store import Store
from callcluster_operator.objects import CALL_CLUSTER, Ref

PARTS = {"signaling": "SignalingAvailable", "turn": "TURNAvailable", "sfu": "SFUCapacityAvailable"}


class Deployment:
    """What the check sees of a runtime: what is said of each component, and the conditions."""

    def __init__(self) -> None:
        self.store = Store()
        self.said: dict[str, str] = {}
        self.conditions: dict[str, dict[str, str]] = {}

    async def standing(self) -> dict[str, str]:
        return self.said

    async def tell(self, component: str, status: str, reason: str = "", message: str = "") -> None:
        kind = PARTS[component]
        self.conditions[kind] = {"type": kind, "status": status, "reason": reason, "message": message}
        await self.store.apply(
            {
                "apiVersion": "callcluster.dev/v1alpha1",
                "kind": "CallCluster",
                "metadata": {"name": "local", "namespace": "default"},
                "spec": {},
            }
        )
        status_now = {"conditions": list(self.conditions.values())}
        await self.store.write_status(Ref(CALL_CLUSTER, "default", "local"), status_now)


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The calls that the check places; all of them work."""
    monkeypatch.setattr(checking, "SETTLED_SECONDS", 0.3)
    monkeypatch.setattr(checking, "LOOK_SECONDS", 0.01)
    calls: list[tuple[str, ...]] = []

    async def probe(runtime: Any, *arguments: str) -> int:
        calls.append(arguments)
        return 0

    monkeypatch.setattr(checking, "_probe", probe)
    return calls


async def run(deployment: Deployment, *, relay: bool = False) -> tuple[int, str]:
    lines: list[str] = []
    code = await checking.check(cast(Runtime, deployment), lines.append, relay=relay)
    (line,) = lines
    return code, line


async def test_with_everything_it_places_all_three_calls(placed: list[tuple[str, ...]]) -> None:
    deployment = Deployment()
    for component in PARTS:
        await deployment.tell(component, "True")
    assert await run(deployment) == (0, "check passed: calls work, direct and relayed, in groups too")
    assert placed == [(), ("--relay",), ("--members", "3")]


async def test_it_says_what_it_did_without(placed: list[tuple[str, ...]]) -> None:
    deployment = Deployment()
    await deployment.tell("signaling", "True")
    deployment.said = {"turn": "coturn is not installed", "sfu": "it is not built"}
    assert await run(deployment) == (
        0,
        "check passed: a direct call works; there is no relay: coturn is not installed; "
        "there is no SFU: it is not built",
    )
    assert placed == [()]
    await deployment.tell("sfu", "True")
    code, line = await run(deployment)
    assert (code, line) == (
        0,
        "check passed: a direct call works, in groups too; there is no relay: coturn is not installed",
    )


async def test_what_the_file_does_not_want_is_not_waited_for(placed: list[tuple[str, ...]]) -> None:
    deployment = Deployment()
    await deployment.tell("signaling", "True")
    await deployment.tell("turn", "True")
    await deployment.tell("sfu", "False", "NotRequested", "sfu.replicas is 0")
    async with asyncio.timeout(20):
        code, line = await run(deployment)
    assert (code, line) == (
        0,
        "check passed: calls work, direct and relayed; there is no SFU: sfu.replicas is 0",
    )


async def test_with_the_relay_alone_nothing_else_is_placed(placed: list[tuple[str, ...]]) -> None:
    deployment = Deployment()
    for component in PARTS:
        await deployment.tell(component, "True")
    assert await run(deployment, relay=True) == (0, "check passed: calls work")
    assert placed == [("--relay",)]


async def test_a_process_that_ended_once_and_came_back_is_no_reason_to_fail(
    placed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "SETTLED_SECONDS", 30.0)
    deployment = Deployment()
    for component in PARTS:
        await deployment.tell(component, "False" if component == "turn" else "True")
    deployment.said = {"turn": "ended with code 2: the control port is taken"}
    waiting = asyncio.create_task(run(deployment))
    while not placed:  # the direct call: what comes next is the wait for the relay
        await asyncio.sleep(0.01)
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert not waiting.done()
    deployment.said = {}
    await deployment.tell("turn", "True")
    assert (await waiting)[0] == 0


async def test_a_process_that_keeps_ending_fails_the_check_with_its_last_words(
    placed: list[tuple[str, ...]],
) -> None:
    deployment = Deployment()
    deployment.said = {"signaling": "ended with code 2: JWT_SECRET is too short"}
    assert await run(deployment) == (
        1,
        "check failed: signaling: ended with code 2: JWT_SECRET is too short",
    )
    assert not placed
