from collections.abc import AsyncIterator

import pytest
from kit.sfu_house import House


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A service, at its end as clean as it should be."""
    made = House(monkeypatch)
    await made.bus.start("sfu", made.service)
    yield made
    assert made.counts.failures == 0
    await made.service.stop()
    assert made.plane.peers == set()
    assert made.plane.tracks == {}
    assert made.plane.legs == {}
