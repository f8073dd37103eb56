"""The election, on a real API server and under a clock of the test's own."""

from __future__ import annotations

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.kube.lease import DURATION_SECONDS, VALID_SECONDS, Election
from callcluster_operator.kube.paths import LEASE
from callcluster_operator.objects import Ref

pytestmark = pytest.mark.apiserver


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def candidates(cluster: KubeCluster, namespace: str, clock: Clock) -> tuple[Election, Election]:
    ref = Ref(LEASE, namespace, "callcluster-operator")
    return Election(cluster, ref, "one", clock), Election(cluster, ref, "two", clock)


async def test_one_of_two_leads(candidates: tuple[Election, Election]) -> None:
    one, two = candidates
    assert await one.attempt()
    assert not await two.attempt()
    assert (one.leads(), two.leads()) == (True, False)


async def test_a_silent_leader_stops_before_another_starts(
    candidates: tuple[Election, Election], clock: Clock
) -> None:
    one, two = candidates
    await one.attempt()
    await two.attempt()
    clock.now += VALID_SECONDS
    assert not one.leads()
    assert not await two.attempt()
    clock.now += DURATION_SECONDS - VALID_SECONDS
    assert await two.attempt()
    assert not await one.attempt()


async def test_a_leader_that_renews_keeps_the_lease(
    candidates: tuple[Election, Election], clock: Clock
) -> None:
    one, two = candidates
    for _ in range(10):
        assert await one.attempt()
        assert not await two.attempt()
        clock.now += VALID_SECONDS - 0.1


async def test_a_newcomer_waits_although_the_lease_looks_old(
    candidates: tuple[Election, Election], clock: Clock
) -> None:
    """Times in the Lease are of another machine's clock: they count for nothing."""
    one, two = candidates
    await one.attempt()
    clock.now += 100 * DURATION_SECONDS
    assert not await two.attempt()
    clock.now += DURATION_SECONDS
    assert await two.attempt()


async def test_a_released_lease_is_free_at_once(candidates: tuple[Election, Election]) -> None:
    one, two = candidates
    await one.attempt()
    await two.release()
    assert not await two.attempt()
    await one.release()
    assert not one.leads()
    assert await two.attempt()


async def test_the_lease_tells_who_leads_and_how_often_that_changed(
    candidates: tuple[Election, Election], cluster: KubeCluster, namespace: str
) -> None:
    one, two = candidates
    await one.attempt()
    await one.attempt()
    await one.release()
    await two.attempt()
    lease = await cluster.get(Ref(LEASE, namespace, "callcluster-operator"))
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "two"
    assert lease["spec"]["leaseTransitions"] == 2
    assert lease["spec"]["leaseDurationSeconds"] == DURATION_SECONDS


async def test_a_candidate_that_stands_still_is_not_alive(
    candidates: tuple[Election, Election], clock: Clock
) -> None:
    one, _ = candidates
    await one.attempt()
    assert one.is_alive()
    clock.now += 60
    assert not one.is_alive()
