"""Whatever happens in between, no credential that was given out is refused before it expires."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_common import keyset
from callcluster_operator.objects import POD, SECRET, Ref
from callcluster_operator.plan import Plan
from callcluster_operator.planning import names
from callcluster_operator.planning.plan import plan
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kit.plan_executor import ConflictError, Process, RefusedError, World
from kit.plan_objects import NAMESPACE, callcluster

pytestmark = pytest.mark.timeout(300)

TTL, INTERVAL, OVERLAP, SKEW = 10, 30, 12, 1
SPEC: dict[str, Any] = {
    "redis": {"mode": "External", "urlSecretRef": {"name": "redis"}},
    "networkPolicy": "Unmanaged",
    "podDisruptionBudget": "Unmanaged",
    "signaling": {"replicas": 2},
    "turn": {
        "replicas": 2,
        "credentials": {
            "ttlSeconds": TTL,
            "rotation": {
                "intervalSeconds": INTERVAL,
                "overlapSeconds": OVERLAP,
                "skewSeconds": SKEW,
            },
        },
    },
}


def listener(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["ports"][0]["hostPort"])


def listeners(world: World) -> set[str]:
    """Ports of the servers that members are sent to."""
    return {uri.rsplit(":", 1)[1] for uri in world.directive("cc").stun_uris}


class Rotation(RuleBasedStateMachine):
    """Signaling pods mint, TURN servers check, the operator rotates, and things go wrong."""

    @initialize()
    def begin(self) -> None:
        self.world = World(["n1", "n2"])
        self.world.put(callcluster("cc", **SPEC))
        self.world.settle("cc")
        self.given: dict[str, float] = {}
        self.stale: Plan | None = None
        self.world.now += INTERVAL - 1
        self.steady = set(self.processes(names.TURN))

    def processes(self, component: str) -> dict[str, Process]:
        return {
            pod["metadata"]["name"]: self.world.processes[pod["metadata"]["name"]]
            for pod in self.world.of_kind(POD, component)
            if pod["metadata"]["name"] in self.world.processes
        }

    def any_of(self, component: str, data: st.DataObject) -> Process | None:
        found = self.processes(component)
        return found[data.draw(st.sampled_from(sorted(found)))] if found else None

    @rule(
        seconds=st.sampled_from([1, 4, 13, 30]),
        servers=st.booleans(),
        signaling=st.sampled_from(["none", "one", "all"]),
    )
    def time_passes(self, seconds: float, servers: bool, signaling: str) -> None:
        """Some pods see their files, others have a slow kubelet."""
        self.world.now += seconds
        some = {"none": 0, "one": 1, "all": 2}[signaling]
        pods = sorted(self.processes(names.SIGNALING))[:some]
        self.world.project([*pods, *(self.processes(names.TURN) if servers else ())])
        self.world.pass_over("cc")
        told = listeners(self.world)
        for pod in self.world.turn_pods():
            if pod["metadata"]["name"] in self.steady:
                assert listener(pod) in told, "a rotation takes no server out of use"

    @rule(data=st.data())
    def operator_dies_at_work(self, data: st.DataObject) -> None:
        planned = plan(self.world.observe("cc"))
        self.world.execute(planned, stop_after=data.draw(st.integers(0, len(planned.steps))))

    @rule()
    def operator_plans_and_is_held_up(self) -> None:
        self.stale = plan(self.world.observe("cc"))

    @rule()
    def held_up_operator_goes_on(self) -> None:
        if self.stale is not None:
            try:
                self.world.execute(self.stale)
            except (ConflictError, RefusedError):
                pass
            self.stale = None

    @rule(data=st.data(), component=st.sampled_from([names.TURN, names.SIGNALING]))
    def reports_of_a_pod_come_or_go(self, data: st.DataObject, component: str) -> None:
        process = self.any_of(component, data)
        if process is not None:
            process.reports = not process.reports
            self.steady -= {n for n, known in self.world.processes.items() if known is process}

    @rule(data=st.data())
    def readiness_of_a_server_comes_or_goes(self, data: st.DataObject) -> None:
        pods = [pod for pod in self.world.turn_pods() if pod.get("status")]
        if pods:
            name = data.draw(st.sampled_from(sorted(pod["metadata"]["name"] for pod in pods)))

            def flip(pod: dict[str, Any]) -> None:
                ready = pod["status"]["conditions"][0]
                ready["status"] = "False" if ready["status"] == "True" else "True"

            self.world.edit(Ref(POD, NAMESPACE, name), flip)
            self.steady.discard(name)

    @rule(data=st.data())
    def a_server_is_lost(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.processes(names.TURN)) or [""]))
        if name:
            self.world.vanish(name)
            self.steady.discard(name)

    @rule()
    def pods_are_made_and_started(self) -> None:
        self.world.run_pods()

    @rule()
    def somebody_touches_the_secret(self) -> None:
        def touch(secret: dict[str, Any]) -> None:
            secret["metadata"].setdefault("labels", {})["touched"] = str(self.world.now)

        self.world.edit(Ref(SECRET, NAMESPACE, names.turn_keys_secret("cc")), touch)

    @invariant()
    def credentials_are_accepted_where_members_are_sent(self) -> None:
        # Every signaling pod gives out credentials all the time.
        for process in self.processes(names.SIGNALING).values():
            self.given[process.turn_keys.mint] = self.world.now + TTL
        valid = {kid for kid, expires in self.given.items() if expires > self.world.now}
        for pod in self.world.turn_pods():
            name = pod["metadata"]["name"]
            ready = pod.get("status", {}).get("conditions", [{}])[0].get("status") == "True"
            if name in self.world.processes and ready and listener(pod) in listeners(self.world):
                assert valid <= set(self.world.processes[name].turn_keys.kids)

    @invariant()
    def two_keys_at_most_are_accepted(self) -> None:
        assert len(self.world.key_set(names.turn_keys_secret("cc")).keys) <= 2

    @invariant()
    def no_object_but_the_secrets_holds_a_key(self) -> None:
        keys = self.world.key_set(names.turn_keys_secret("cc")).keys
        text = str([obj for ref, obj in self.world.objects.items() if ref.kind != SECRET])
        assert not any(key.secret in text for key in keys)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for process in self.world.processes.values():
            process.reports = True
        before = keyset.fingerprint(self.world.key_set(names.turn_keys_secret("cc")))
        for _ in range(40):
            self.world.now += 5
            self.world.pass_over("cc")
            self.world.work()
        after = keyset.fingerprint(self.world.key_set(names.turn_keys_secret("cc")))
        assert before != after, "once all is well, keys rotate again"
        assert self.world.condition("cc", "CredentialsRotated")["status"] == "True"


TestRotation = Rotation.TestCase
TestRotation.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
