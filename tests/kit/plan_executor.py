"""A small world for planning: objects in a dict, steps applied to them, and pods that behave.

Time is a number that the test sets. Pods run on nodes under the scheduler's rule for host ports, read
Secrets only when :meth:`World.project` is called, and report as the images do.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from callcluster_common import directive, keyset
from callcluster_common.keyset import KeySet
from callcluster_common.reports import Report, SFUReport, SignalingReport, TURNReport
from callcluster_operator.api.times import timestamp
from callcluster_operator.local import fields
from callcluster_operator.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    NODE,
    POD,
    ROOM,
    SECRET,
    Kind,
    Object,
    Ref,
    ref_of,
)
from callcluster_operator.observed import Observed, Platform
from callcluster_operator.plan import Apply, Delete, Drain, Plan, WriteStatus
from callcluster_operator.planning import names, ports
from callcluster_operator.planning.plan import plan

from kit.plan_objects import NAMESPACE, cc_ref, host_ports, node_object

PLATFORM = Platform(
    "callcluster/signaling:1", "callcluster/turn:1", "redis:7-bookworm", "callcluster/sfu:1"
)
START = 1_800_000_000.0


class ConflictError(Exception):
    """The object is not the one that was seen."""


class RefusedError(Exception):
    """The API server would refuse the object."""


@dataclass
class Process:
    """What runs in a pod."""

    turn_keys: KeySet
    directive: str = ""
    draining: bool = False
    load: int = 0
    """Sessions, allocations or participants."""
    rooms: dict[str, int] = field(default_factory=dict)
    reports: bool = True
    bus_up: bool = True


class World:
    """Objects, pods and a clock.

    Args:
        nodes: names of the nodes that take pods.
    """

    def __init__(self, nodes: Sequence[str] = ("n1", "n2"), platform: Platform = PLATFORM) -> None:
        self.now = START
        self.platform = platform
        self.objects: dict[Ref, Object] = {}
        self.processes: dict[str, Process] = {}
        self._owned: dict[Ref, frozenset[fields.Path]] = {}
        self._version = 0
        self._uids = 0
        self.writes: list[Apply | Delete | Drain | WriteStatus] = []
        for number, node in enumerate(nodes, start=1):
            self.put(node_object(node, f"10.0.0.{number}", f"203.0.113.{number}"))

    # Objects

    def put(self, obj: Object) -> Object:
        """Create or replace an object, as a user would."""
        ref = ref_of(obj)
        self._version += 1
        meta = obj["metadata"]
        known = self.objects.get(ref, {}).get("metadata", {})
        meta.setdefault("uid", known.get("uid") or self._uid())
        meta.setdefault("creationTimestamp", timestamp(self.now))
        meta["generation"] = known.get("generation", 0) + 1
        meta["resourceVersion"] = str(self._version)
        self.objects[ref] = obj
        return obj

    def edit(self, ref: Ref, change: Callable[[Object], None]) -> None:
        """Change an object by hand."""
        obj = copy.deepcopy(self.objects[ref])
        change(obj)
        self._store(ref, obj)

    def of_kind(self, kind: Kind, component: str | None = None) -> list[Object]:
        """Objects of a kind, by name."""
        found = [obj for ref, obj in sorted(self.objects.items()) if ref.kind == kind]
        if component is None:
            return found
        return [o for o in found if o["metadata"]["labels"].get(names.COMPONENT_LABEL) == component]

    def turn_pods(self, cc: str | None = None) -> list[Object]:
        """TURN servers that exist."""
        found = self.of_kind(POD, names.TURN)
        return [p for p in found if cc in (None, p["metadata"]["labels"][names.INSTANCE_LABEL])]

    def sfu_pods(self) -> list[Object]:
        """SFUs that exist."""
        return self.of_kind(POD, names.SFU)

    def status(self, cc: str) -> dict[str, Any]:
        """Status of a CallCluster."""
        found: dict[str, Any] = self.objects[cc_ref(cc)].get("status", {})
        return found

    def condition(self, cc: str, kind: str) -> dict[str, Any]:
        """One condition of a CallCluster."""
        return next((c for c in self.status(cc)["conditions"] if c["type"] == kind), {})

    def key_set(self, secret: str) -> KeySet:
        """The key set in a Secret."""
        data = self.objects[Ref(SECRET, NAMESPACE, secret)]["data"][keyset.KEYS_FILE]
        return keyset.parse(base64.b64decode(data))

    def directive(self, cc: str) -> directive.Directive:
        """What the signaling pods of a CallCluster are told."""
        found = self.objects[Ref(CONFIG_MAP, NAMESPACE, names.directive_config_map(cc))]
        return directive.parse(found["data"][directive.DIRECTIVE_FILE])

    # What the operator does

    def observe(self, cc: str) -> Observed:
        """A snapshot, as the reconciler gathers it. Objects are replaced, never changed in place."""
        selector = names.selector(cc).items()
        children = {
            ref: obj
            for ref, obj in self.objects.items()
            if selector <= obj["metadata"].get("labels", {}).items()
        }
        claims = (ports.claim_of(pod) for pod in (*self.turn_pods(), *self.sfu_pods()))
        return Observed(
            now=self.now,
            entropy=hashlib.sha512(f"{cc}/{self.now}/{self._version}".encode()).digest(),
            platform=self.platform,
            callcluster=self.objects[cc_ref(cc)],
            children=children,
            rooms=tuple(room for room in self.of_kind(ROOM) if room["spec"]["clusterRef"]["name"] == cc),
            nodes=tuple(self.of_kind(NODE)),
            neighbours=tuple(c for c in claims if c is not None and c.owner != f"{NAMESPACE}/{cc}"),
            secrets={
                secret["metadata"]["name"]: frozenset(secret.get("data", {}))
                for secret in self.of_kind(SECRET)
            },
            reports={
                ref.name: self._report(ref.name)
                for ref in children
                if ref.kind == POD and ref.name in self.processes and self.processes[ref.name].reports
            },
        )

    def execute(self, planned: Plan, *, stop_after: int | None = None) -> None:
        """Carry out the steps in their order.

        Args:
            planned: the steps.
            stop_after: how many steps are done before the operator dies.

        Raises:
            ConflictError: a precondition does not hold; the steps before it are done.
        """
        for step in planned.steps[:stop_after]:
            self.writes.append(step)
            match step:
                case Apply(manifest):
                    self._apply(manifest)
                case Delete(ref, uid, resource_version):
                    self._delete(ref, uid, resource_version)
                case Drain(pod):
                    process = self.processes.get(pod["metadata"]["name"])
                    if process is not None:
                        process.draining = True
                case WriteStatus(ref, status, resource_version):
                    if ref in self.objects:
                        if self.objects[ref]["metadata"]["resourceVersion"] != resource_version:
                            raise ConflictError(f"{ref} is not what was seen")
                        self._store(ref, {**self.objects[ref], "status": copy.deepcopy(status)})

    def pass_over(self, cc: str, *, stop_after: int | None = None) -> Plan:
        """One pass: observe, plan, execute."""
        planned = plan(self.observe(cc))
        self.execute(planned, stop_after=stop_after)
        return planned

    def settle(self, *ccs: str, rounds: int = 30) -> int:
        """Let operator and pods work until nothing changes; returns the number of rounds that took.

        Raises:
            AssertionError: it goes on for ever.
        """
        for number in range(rounds):
            version = self._version
            plans = [self.pass_over(cc) for cc in ccs]
            self.work()
            if all(planned.is_empty for planned in plans) and version == self._version:
                return number
        raise AssertionError(f"still changing after {rounds} rounds: {plans}")

    # What the cluster does

    def work(self) -> None:
        """Let controllers, scheduler and kubelets do all that they can."""
        self.remove_ended()
        for deployment in self.of_kind(DEPLOYMENT):
            self._roll_out(deployment)
        self.project()
        self.run_pods()
        for deployment in self.of_kind(DEPLOYMENT):
            self._report_deployment(deployment)

    def remove_ended(self) -> None:
        """Take away pods that were told to go."""
        for pod in self.of_kind(POD):
            if "deletionTimestamp" in pod["metadata"]:
                self._drop(ref_of(pod))

    def project(self, pods: Iterable[str] | None = None) -> None:
        """Let pods see their Secrets and ConfigMaps as they are now.

        Args:
            pods: names; all by default.
        """
        for name in list(self.processes) if pods is None else pods:
            pod = self.objects.get(Ref(POD, NAMESPACE, name))
            if pod is not None and name in self.processes:
                cc = pod["metadata"]["labels"][names.INSTANCE_LABEL]
                self.processes[name].turn_keys = self.key_set(names.turn_keys_secret(cc))
                self.processes[name].directive = directive.fingerprint(self.directive(cc))

    def run_pods(self) -> None:
        """Place pods on nodes, start them, and make those ready that can be."""
        for pod in self.of_kind(POD):
            if pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
                continue
            ref, name = ref_of(pod), pod["metadata"]["name"]
            node = pod["spec"].get("nodeName") or self._place(pod)
            if node is None:
                continue
            wanted = {**pod, "spec": {**pod["spec"], "nodeName": node}}
            host = self.objects[Ref(NODE, "", node)]["status"]["addresses"][0]["address"]
            cc = pod["metadata"]["labels"][names.INSTANCE_LABEL]
            is_server = pod["metadata"]["labels"][names.COMPONENT_LABEL] in names.ON_THE_HOST
            address = pod["metadata"].get("annotations", {}).get(names.EXTERNAL_ADDRESS)
            is_ready = bool(address) or not is_server
            wanted["status"] = {
                "phase": "Running",
                "hostIP": host,
                "podIP": host,
                "conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}],
            }
            if name not in self.processes:
                self.processes[name] = Process(self.key_set(names.turn_keys_secret(cc)))
            if wanted != pod:
                self._store(ref, wanted)

    def fail(self, name: str) -> None:
        """Let a pod fail, as an eviction does."""
        ref = Ref(POD, NAMESPACE, name)
        self.processes.pop(name, None)
        self.edit(ref, lambda pod: pod.update(status={"phase": "Failed"}))

    def vanish(self, name: str) -> None:
        """Let a pod be gone at once, as with its node."""
        self._drop(Ref(POD, NAMESPACE, name))

    # Inside

    def _apply(self, manifest: Object) -> None:
        ref = ref_of(manifest)
        live = self.objects.get(ref)
        meta, actual = manifest["metadata"], (live or {}).get("metadata", {})
        for precondition in ("uid", "resourceVersion"):
            if meta.get(precondition, actual.get(precondition)) != actual.get(precondition):
                raise ConflictError(f"{ref}: another {precondition}")
        wanted = copy.deepcopy(manifest)
        for precondition in ("uid", "resourceVersion"):
            wanted["metadata"].pop(precondition, None)
        paths = fields.owned(wanted)
        if live is None:
            self._version += 1
            wanted["metadata"] |= {
                "uid": self._uid(),
                "resourceVersion": str(self._version),
                "generation": 1,
                "creationTimestamp": timestamp(self.now),
            }
            self.objects[ref] = wanted
        else:
            dropped = self._owned.get(ref, frozenset()) - paths
            merged = fields.merge(fields.without(live, dropped), wanted)
            if ref.kind == POD and merged["spec"] != live["spec"]:
                raise RefusedError(f"{ref}: a pod's spec can't be changed")
            self._store(ref, merged)
        self._owned[ref] = paths

    def _store(self, ref: Ref, obj: Object) -> None:
        before = self.objects[ref]
        if obj == before:
            return
        self._version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        if obj.get("spec") != before.get("spec"):
            obj["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
        self.objects[ref] = obj

    def _delete(self, ref: Ref, uid: str, resource_version: str) -> None:
        live = self.objects.get(ref)
        if live is None:
            return
        if (live["metadata"]["uid"], live["metadata"]["resourceVersion"]) != (uid, resource_version):
            raise ConflictError(f"{ref} is not what was seen")
        if ref.kind == POD and live["spec"].get("nodeName"):
            self.edit(ref, lambda pod: pod["metadata"].update(deletionTimestamp=timestamp(self.now)))
        else:
            self._drop(ref)

    def _drop(self, ref: Ref) -> None:
        self._version += 1
        del self.objects[ref]
        self._owned.pop(ref, None)
        if ref.kind == POD:
            self.processes.pop(ref.name, None)

    def _uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids}"

    def _report(self, name: str) -> Report:
        pod, process = self.objects[Ref(POD, NAMESPACE, name)], self.processes[name]
        acknowledged = keyset.fingerprint(process.turn_keys)
        if pod["metadata"]["labels"][names.COMPONENT_LABEL] == names.TURN:
            return TURNReport("1", "4.6.1", process.draining, process.load, acknowledged)
        if pod["metadata"]["labels"][names.COMPONENT_LABEL] == names.SFU:
            return SFUReport("1", process.draining, min(process.load, 1), process.load, process.bus_up)
        return SignalingReport(
            "1",
            process.draining,
            process.load,
            dict(process.rooms),
            acknowledged,
            process.directive,
            process.bus_up,
        )

    def _place(self, pod: Object) -> str | None:
        """The first node on which all host ports are free, as the scheduler sees it."""
        for node in self.of_kind(NODE):
            name = node["metadata"]["name"]
            if node.get("spec", {}).get("unschedulable"):
                continue
            taken = {
                port
                for other in self.of_kind(POD)
                if other["spec"].get("nodeName") == name
                and other.get("status", {}).get("phase") not in ("Failed", "Succeeded")
                for port in host_ports(other)
            }
            if not taken & host_ports(pod):
                return str(name)
        return None

    def _roll_out(self, deployment: Object) -> None:
        template = deployment["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:6]
        name = deployment["metadata"]["name"]
        wanted = {f"{name}-{digest}-{n}" for n in range(deployment["spec"]["replicas"])}
        for pod in self.of_kind(POD):
            if pod["metadata"]["name"].startswith(name + "-") and pod["metadata"]["name"] not in wanted:
                self._drop(ref_of(pod))
        for pod_name in sorted(wanted):
            if Ref(POD, NAMESPACE, pod_name) not in self.objects:
                owner = {"uid": deployment["metadata"]["uid"], "controller": True, "kind": "ReplicaSet"}
                metadata = copy.deepcopy(template["metadata"])
                metadata |= {"name": pod_name, "namespace": NAMESPACE, "ownerReferences": [owner]}
                spec = copy.deepcopy(template["spec"])
                self.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def _report_deployment(self, deployment: Object) -> None:
        name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
        count = sum(pod["metadata"]["name"].startswith(name + "-") for pod in self.of_kind(POD))
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": count,
            "updatedReplicas": min(count, wanted),
            "readyReplicas": min(count, wanted),
        }
        self._store(ref_of(deployment), {**deployment, "status": status})
