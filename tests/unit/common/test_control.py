import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from callcluster_common.control import OPEN_ON_HOST, ControlServer
from callcluster_common.keyset import Key, KeySet
from callcluster_common.reports import TURNReport
from prometheus_client import CollectorRegistry, Gauge

OLD, NEW = Key("k1", "o" * 40), Key("k2", "n" * 40)


@dataclass
class Pod:
    """A process with a control port."""

    url: str = ""
    keys: KeySet | None = field(default_factory=lambda: KeySet("k2", (OLD, NEW)))
    problem: str | None = None
    drained: int = 0


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pod, registry = Pod(), CollectorRegistry()
    Gauge("turn_allocations", "Allocations", registry=registry).set(7)

    def drain() -> None:
        pod.drained += 1

    server = ControlServer(
        alive=lambda: None,
        ready=lambda: pod.problem,
        report=lambda: TURNReport(version="1", coturn_version="4.6.1", draining=False, allocations=7),
        metrics=registry,
        tokens=lambda: pod.keys,
        drain=drain,
    )

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    server.add("PUT", "/echo", echo)
    pod.url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    yield pod
    await server.stop()


async def ask(method: str, url: str, token: str | None = None) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as http, http.request(method, url, headers=headers) as response:
        return response.status, await response.text()


async def test_health_readiness_and_metrics_are_open(pod: Pod) -> None:
    assert await ask("GET", f"{pod.url}/healthz") == (200, "ok\n")
    assert await ask("GET", f"{pod.url}/readyz") == (200, "ok\n")
    pod.problem = "coturn does not answer"
    assert await ask("GET", f"{pod.url}/readyz") == (503, "coturn does not answer\n")
    status, text = await ask("GET", f"{pod.url}/metrics")
    assert (status, "turn_allocations 7.0" in text) == (200, True)


async def test_on_the_host_network_only_liveness_is_open(pod: Pod) -> None:
    server = ControlServer(
        alive=lambda: None,
        ready=lambda: None,
        report=lambda: TURNReport(version="1", coturn_version="4.6.1", draining=False, allocations=7),
        metrics=CollectorRegistry(),
        tokens=lambda: pod.keys,
        drain=lambda: None,
        open_routes=OPEN_ON_HOST,
    )
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    assert await ask("GET", f"{url}/healthz") == (200, "ok\n")
    for path in ("/readyz", "/metrics"):
        assert (await ask("GET", url + path))[0] == 401
        assert (await ask("GET", url + path, NEW.secret))[0] == 200
    await server.stop()


@pytest.mark.parametrize("route", ["GET /report", "POST /drain", "PUT /echo", "GET /nothing-here"])
async def test_all_else_wants_a_key_of_the_set(pod: Pod, route: str) -> None:
    method, path = route.split()
    for token in (None, "", "o" * 39, "x" * 40):
        assert (await ask(method, pod.url + path, token))[0] == 401
    assert pod.drained == 0


async def test_a_token_of_bytes_that_are_no_text_is_a_wrong_token(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = pod.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /report HTTP/1.1\r\nHost: pod\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    assert caplog.records == []


async def test_the_old_and_the_new_key_open_while_a_rotation_runs(pod: Pod) -> None:
    for key in (OLD, NEW):
        status, text = await ask("GET", f"{pod.url}/report", key.secret)
        assert (status, '"allocations":7' in text) == (200, True)
    pod.keys = KeySet("k2", (NEW,))
    assert (await ask("GET", f"{pod.url}/report", OLD.secret))[0] == 401


async def test_a_pod_without_its_key_set_stays_closed(pod: Pod) -> None:
    pod.keys = None
    assert (await ask("POST", f"{pod.url}/drain", NEW.secret))[0] == 503
    assert pod.drained == 0


async def test_drain_is_asked_for_by_post(pod: Pod) -> None:
    assert (await ask("POST", f"{pod.url}/drain", NEW.secret))[0] == 202
    assert pod.drained == 1
