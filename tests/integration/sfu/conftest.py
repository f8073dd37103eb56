from collections.abc import Iterator

import pytest
from kit.redis_server import RedisServer, redis_server
from kit.signaling_server import SignalingProcess, signaling

__all__ = ["redis_server"]


@pytest.fixture(scope="package")
def pod(redis_server: RedisServer) -> Iterator[SignalingProcess]:
    """One signaling server that lives as long as all tests."""
    with signaling(redis_server.url, GUEST_ACCESS="true") as made:
        yield made
        assert made.running(), made.text
        assert "Traceback" not in made.text
