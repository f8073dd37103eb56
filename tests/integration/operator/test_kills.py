"""The operator is killed with -9 at every write of a whole life, and started again each time."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
from callcluster_common.room_names import room_key
from callcluster_operator.api.times import precise
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import CALL_CLUSTER, POD, SECRET, Object, Ref, ref_of
from callcluster_operator.planning import credentials, names
from callcluster_operator.planning.rotation import CONTROL_PROPAGATION_SECONDS
from kit.apiserver import ApiServer
from kit.callclusters import Eyes, essence
from kit.operator_nursery import Nursery
from kit.operator_reaper import Driver, Reaper
from kit.pods import Kubelet
from kit.proxy import Proxy
from kit.specs import callcluster, room

pytestmark = pytest.mark.apiserver

INTERVAL_SECONDS, OVERLAP_SECONDS = 86_400.0, 7200.0
"""Of a rotation, as the schema sets them."""


class Life:
    """What users and time do to a CallCluster, step by step."""

    RINGS = (names.turn_keys_secret("demo"), names.control_secret("demo"))

    def __init__(
        self, apiserver: ApiServer, cluster: KubeCluster, kubelet: Kubelet, namespace: str, driver: Driver
    ) -> None:
        self._apiserver = apiserver
        self._cluster = cluster
        self._kubelet = kubelet
        self._namespace = namespace
        self._driver = driver
        self._eyes = Eyes(cluster, namespace)
        self.seen: list[dict[str, Object]] = []
        """What stood there at the end of some stages."""
        self.refused: list[str] = []
        """Keys that were minted while a server did not accept them."""

    async def live(self) -> None:
        await self._is_made()
        await self._holds_a_room()
        await self._changes_its_keys()
        await self._is_edited_during_a_call()
        await self._is_deleted()

    async def _is_made(self) -> None:
        await self._cluster.create(callcluster("demo", self._namespace, {}))
        await self._driver.drive("made", self._eyes.is_ready)
        self.seen.append(essence(await self._eyes.children()))

    async def _holds_a_room(self) -> None:
        await self._cluster.create(room("r-1", self._namespace, {"ttlSecondsAfterFinished": 1}))
        secret = await self._eyes.object(Ref(SECRET, self._namespace, names.salt_secret("demo")))
        key = room_key(base64.b64decode(secret["data"]["salt"]), "r-1")
        pod = next(iter(self._kubelet.of(names.SIGNALING).values()))
        pod.load.rooms[key] = 2

        async def is_used() -> bool:
            return bool((await self._status())["rooms"]["participants"] == 2)

        await self._driver.drive("room used", is_used)
        await self._cluster.apply(room("r-1", self._namespace, {"state": "Closed"}), field_manager="user")

        async def is_closed() -> bool:
            found = await self._eyes.room("r-1")
            if pod.directive and any(rule.key == key and rule.closed for rule in pod.directive.rooms):
                pod.load.rooms.pop(key, None)
            return found is None and (await self._status())["rooms"]["open"] == 0

        await self._driver.drive("room closed", is_closed)

    async def _changes_its_keys(self) -> None:
        before = {name: await self._ring(name) for name in self.RINGS}
        self._pass_time(INTERVAL_SECONDS, credentials.MINTING_SINCE)

        async def both_mint_anew() -> bool:
            rings = {name: await self._ring(name) for name in self.RINGS}
            for name, ring in rings.items():
                if ring.staged_at and ring.staged_at > time.time() - CONTROL_PROPAGATION_SECONDS:
                    self._pass_time(CONTROL_PROPAGATION_SECONDS, credentials.STAGED_AT, name)
            self._look_for_refused_keys()
            told = (await self._status())["credentials"]
            are_confirmed = all(ring.phase == "Overlap" and ring.confirmed_at for ring in rings.values())
            return are_confirmed and "retirementTime" in told

        await self._driver.drive("keys switched", both_mint_anew)
        self._pass_time(OVERLAP_SECONDS, credentials.MINTING_SINCE)
        self._pass_time(OVERLAP_SECONDS, credentials.CONFIRMED_AT)

        async def both_have_one_key() -> bool:
            rings = {name: await self._ring(name) for name in self.RINGS}
            self._look_for_refused_keys()
            told = (await self._status())["credentials"]
            have_one = all(ring.phase == "Settled" for ring in rings.values())
            return have_one and told["phase"] == "Settled" and await self._eyes.is_ready()

        await self._driver.drive("keys retired", both_have_one_key)
        for name in self.RINGS:
            assert not set((await self._ring(name)).keys.kids) & set(before[name].keys.kids)

    async def _is_edited_during_a_call(self) -> None:
        ((name, server),) = self._kubelet.of(names.TURN).items()
        server.load.allocations = 1
        edited = {"turn": {"quota": {"allocationsPerUser": 20}}, "signaling": {"replicas": 3}}
        await self._cluster.apply(callcluster("demo", self._namespace, edited), field_manager="user")

        async def is_drained() -> bool:
            pod = await self._eyes.object(Ref(POD, self._namespace, name))
            assert "deletionTimestamp" not in pod["metadata"], "a server with a call is never killed"
            return server.load.draining

        await self._driver.drive("edited", is_drained)
        server.load.allocations = 0

        async def is_replaced() -> bool:
            return name not in self._kubelet.running and await self._eyes.is_ready()

        await self._driver.drive("drained", is_replaced)
        self.seen.append(essence(await self._eyes.children()))

    async def _is_deleted(self) -> None:
        made = await self._eyes.callcluster()
        await self._cluster.delete(ref_of(made), uid=made["metadata"]["uid"])

        async def is_gone() -> bool:
            gone = await self._cluster.get(Ref(CALL_CLUSTER, self._namespace, "demo")) is None
            return gone and not await self._eyes.children()

        await self._driver.drive("deleted", is_gone)

    async def _status(self) -> Object:
        status: Object = (await self._eyes.callcluster())["status"]
        return status

    def _look_for_refused_keys(self) -> None:
        minting = [
            pod.turn_keys.mint for pod in self._kubelet.of(names.SIGNALING).values() if pod.turn_keys
        ]
        for server in self._kubelet.of(names.TURN).values():
            if server.turn_keys:
                self.refused += [kid for kid in minting if kid not in server.turn_keys.kids]

    async def _ring(self, name: str) -> credentials.Ring:
        ring = credentials.read(await self._eyes.object(Ref(SECRET, self._namespace, name)), time.time())
        assert ring is not None
        return ring

    def _pass_time(self, seconds: float, note: str, *secrets: str) -> None:
        """Make it so long ago what the Secrets' annotation tells: they are the only record of it."""
        for name in secrets or self.RINGS:
            path = f"/api/v1/namespaces/{self._namespace}/secrets/{name}"
            annotations = {note: precise(time.time() - seconds)}
            self._apiserver.request("PATCH", path, {"metadata": {"annotations": annotations}})


@pytest.mark.timeout(1800)
async def test_killed_at_every_write_of_its_life_it_ends_where_an_undisturbed_one_does(
    apiserver: ApiServer,
    cluster: KubeCluster,
    kubelet: Kubelet,
    namespace: str,
    log: Path,
    tmp_path: Path,
) -> None:
    reaper = Reaper()
    async with Proxy(apiserver.kubeconfig, tmp_path, reaper.on_write) as proxy:
        with Nursery(proxy.kubeconfig, log) as nursery:
            driver = Driver(nursery, reaper, namespace)
            undisturbed, disturbed = (
                Life(apiserver, cluster, kubelet, namespace, driver) for _ in range(2)
            )
            await undisturbed.live()
            writes = set(reaper.writes)
            reaper.writes.clear()
            reaper.kills = "always"
            await disturbed.live()
    assert disturbed.seen == undisturbed.seen
    assert undisturbed.refused == disturbed.refused == []
    # A Deployment that has gone takes its pods along: whether the operator still finds them is chance.
    expected = {write for write in writes if "/pods/" not in write[1] or "/pods/demo-turn-" in write[1]}
    assert expected <= set(reaper.writes)
    for name in Life.RINGS:
        written = sum(path.endswith(f"/secrets/{name}") for _, path in reaper.writes)
        assert written >= len(("made", "staged", "switched", "switch confirmed", "retired", "deleted"))
    assert "Traceback" not in log.read_text()
