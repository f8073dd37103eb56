"""Reading reports of pods and telling them to drain, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from callcluster_common.control import ControlServer
from callcluster_common.keyset import Key, KeySet
from callcluster_common.reports import Report, SFUReport, SignalingReport, TURNReport
from callcluster_operator.cluster import ClusterError
from callcluster_operator.objects import Object
from callcluster_operator.planning import names
from callcluster_operator.workload import reports
from callcluster_operator.workload.reports import ControlPorts, control_url
from prometheus_client import CollectorRegistry

KEYS = KeySet("k1", (Key("k1", "a" * 43),))
OTHER_KEYS = KeySet("k1", (Key("k1", "b" * 43),))
SIGNALING = SignalingReport("1", False, 7, {"r-1": 3})
TURN = TURNReport("1", "4.6.1", True, 2)
SFU = SFUReport("1", False, 2, 7)


def pod(name: str, port: int, component: str = names.SIGNALING, **status: Any) -> Object:
    ports = [{"name": "http", "containerPort": 3000}, {"name": names.CONTROL_PORT, "containerPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "calls", "labels": {names.COMPONENT_LABEL: component}},
        "spec": {"containers": [{"name": "main", "ports": ports}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1", **status},
    }


@pytest.fixture
async def control_ports() -> AsyncIterator[ControlPorts]:
    ports = ControlPorts()
    yield ports
    await ports.close()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    servers: list[ControlServer] = []

    async def start(report: Report, drained: Callable[[], None] = lambda: None) -> int:
        server = ControlServer(
            alive=lambda: None,
            ready=lambda: None,
            report=lambda: report,
            metrics=CollectorRegistry(),
            tokens=lambda: KEYS,
            drain=drained,
        )
        servers.append(server)
        return await server.start("127.0.0.1", 0)

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def serve_raw() -> AsyncIterator[Callable[..., Any]]:
    runners: list[web.ServerRunner] = []

    async def start(respond: Callable[[web.BaseRequest], Any]) -> int:
        runner = web.ServerRunner(web.Server(respond), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_each_pod_is_read_as_what_it_is(
    control_ports: ControlPorts, serve: Callable[..., Any]
) -> None:
    pods = [
        pod("signaling-0", await serve(SIGNALING)),
        pod("turn-0", await serve(TURN), component=names.TURN),
        pod("sfu-0", await serve(SFU), component=names.SFU),
        pod("redis-0", await serve(TURN), component=names.REDIS),
    ]
    assert await control_ports.read(pods, KEYS) == {"signaling-0": SIGNALING, "turn-0": TURN, "sfu-0": SFU}


async def test_pods_that_do_not_answer_are_left_out_and_hold_up_nobody(
    control_ports: ControlPorts,
    serve: Callable[..., Any],
    serve_raw: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def babble(_: web.BaseRequest) -> web.Response:
        return web.Response(text="<html>")

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65536)
        except ConnectionError:
            return response

    monkeypatch.setattr(reports, "MAX_REPORT_BYTES", 1_000_000)
    pods = [
        pod("refuses", 1),
        pod("hangs", await serve_raw(hang)),
        pod("babbles", await serve_raw(babble)),
        pod("floods", await serve_raw(flood)),
        pod("fine", await serve(SIGNALING)),
        pod("waits", 1, phase="Pending"),
        pod("has-no-address", 1, podIP=""),
    ]
    assert await control_ports.read(pods, KEYS) == {"fine": SIGNALING}


async def test_a_pod_that_does_not_know_the_key_gives_no_report(
    control_ports: ControlPorts, serve: Callable[..., Any]
) -> None:
    assert await control_ports.read([pod("a", await serve(SIGNALING))], OTHER_KEYS) == {}


async def test_a_drain_reaches_the_pod(control_ports: ControlPorts, serve: Callable[..., Any]) -> None:
    drains: list[None] = []
    await control_ports.drain(pod("a", await serve(SIGNALING, lambda: drains.append(None))), KEYS)
    assert len(drains) == 1


async def test_a_drain_that_is_not_heard_is_an_error_for_later(
    control_ports: ControlPorts, serve: Callable[..., Any]
) -> None:
    with pytest.raises(ClusterError, match="can't be told to drain"):
        await control_ports.drain(pod("a", 1), KEYS)
    with pytest.raises(ClusterError, match="answered 401"):
        await control_ports.drain(pod("a", await serve(SIGNALING)), OTHER_KEYS)
    with pytest.raises(ClusterError, match="no address"):
        await control_ports.drain(pod("a", 1, phase="Pending"), KEYS)


def test_an_ipv6_address_is_put_in_brackets() -> None:
    assert control_url(pod("a", 9090, podIP="2001:db8::1")) == "http://[2001:db8::1]:9090"


def test_a_pod_without_a_control_port_has_no_url() -> None:
    bare = pod("a", 9090)
    del bare["spec"]["containers"][0]["ports"]
    assert control_url(bare) is None
