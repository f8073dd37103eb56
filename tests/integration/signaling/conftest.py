from collections.abc import AsyncIterator, Iterator

import pytest
from kit.redis_server import RedisServer, redis_server
from kit.sig_client import SigClient
from kit.signaling_server import SignalingProcess, signaling

__all__ = ["redis_server"]


@pytest.fixture(autouse=True)
async def tidy() -> AsyncIterator[None]:
    """Close the clients that a test has left open."""
    yield
    await SigClient.close_all()


@pytest.fixture(scope="package", params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def server(request: pytest.FixtureRequest) -> Iterator[SignalingProcess]:
    """One server, on either bus."""
    url = "memory://"
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
    with signaling(url) as made:
        yield made
        assert made.running(), made.text
        assert "Traceback" not in made.text


@pytest.fixture(scope="package")
def pods(redis_server: RedisServer) -> Iterator[tuple[SignalingProcess, SignalingProcess]]:
    """Two servers on one Redis, which live as long as all tests."""
    with signaling(redis_server.url) as one, signaling(redis_server.url) as two:
        yield one, two
        assert one.running()
        assert two.running()
        assert "Traceback" not in one.text + two.text
