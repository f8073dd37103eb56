"""The loop that keeps the reconciler going."""

from __future__ import annotations

import asyncio

import pytest
from callcluster_operator.local.controller import Controller
from callcluster_operator.local.store import Store
from callcluster_operator.observed import Platform
from callcluster_operator.reconciler import Reconciler
from callcluster_operator.workload.reports import ControlPorts


@pytest.mark.parametrize("ticks", range(5))
async def test_it_ends_when_cancelled_even_at_the_moment_of_a_change(ticks: int) -> None:
    store, reports = Store(), ControlPorts()
    reconciler = Reconciler(
        store, reports, Platform("s", "t", "r", "f"), clock=lambda: 0.0, entropy=lambda: bytes(64)
    )
    controller = Controller(store, reconciler, "default")
    running = asyncio.create_task(controller.run())
    for _ in range(5):
        await asyncio.sleep(0)
    controller.wake()
    for _ in range(ticks):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=1)
    assert running.cancelled()
    await reports.close()
