"""The whole plan: what is kept in place, what is left alone, and what the status says."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from callcluster_common import keyset
from callcluster_operator.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    SECRET,
    SERVICE,
    Object,
    Ref,
)
from callcluster_operator.plan import Apply, Delete, WriteStatus
from callcluster_operator.planning import credentials, names
from callcluster_operator.planning.plan import plan
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster, cc_ref, room

SHORT = {
    "ttlSeconds": 10,
    "rotation": {"intervalSeconds": 100, "overlapSeconds": 30, "skewSeconds": 1},
}


def settled(**spec: Any) -> World:
    world = World()
    world.put(callcluster("cc", **spec))
    world.settle("cc")
    return world


def test_a_settled_callcluster_is_ready_and_nothing_is_written() -> None:
    world = settled()
    reasons = {c["type"]: (c["status"], c["reason"]) for c in world.status("cc")["conditions"]}
    assert reasons == {
        "Ready": ("True", "Available"),
        "Progressing": ("False", "AsWanted"),
        "SignalingAvailable": ("True", "Available"),
        "TURNAvailable": ("True", "Available"),
        "SFUCapacityAvailable": ("False", "NotRequested"),
        "RelaysReachSFUs": ("Unknown", "NoServers"),
        "AddressesResolved": ("True", "Resolved"),
        "CredentialsRotated": ("True", "Settled"),
    }
    planned = plan(world.observe("cc"))
    assert planned.is_empty
    assert planned.wake_after == 10


def test_a_signaling_pod_that_answers_with_an_old_directive_is_asked_each_second() -> None:
    world = settled()
    process = next(process for name, process in world.processes.items() if "-signaling-" in name)
    process.directive = "old"
    world.now += 3600
    assert plan(world.observe("cc")).wake_after == 1


def test_a_signaling_pod_that_never_answers_is_asked_each_second_for_a_minute_only() -> None:
    world = settled()
    process = next(process for name, process in world.processes.items() if "-signaling-" in name)
    process.reports = False
    assert plan(world.observe("cc")).wake_after == 1
    world.now += 60
    assert plan(world.observe("cc")).wake_after == 10


def test_planning_changes_nothing_that_it_is_given() -> None:
    world = settled()
    world.put(room("standup"))
    world.put(callcluster("cc", turn={"replicas": 3}))
    observed = world.observe("cc")
    before = copy.deepcopy(observed)
    plan(observed)
    assert observed == before


def test_what_pods_read_comes_before_the_pods() -> None:
    world = World()
    world.put(callcluster("cc"))
    kinds = [step.manifest["kind"] for step in plan(world.observe("cc")).steps if isinstance(step, Apply)]
    last_read = max(kinds.index(kind) for kind in ("ServiceAccount", "ConfigMap", "Secret"))
    assert last_read < kinds.index("Deployment") < kinds.index("Pod")


@pytest.mark.parametrize(
    ("ref", "damage"),
    [
        (Ref(DEPLOYMENT, NAMESPACE, "cc-signaling"), {"spec": {"replicas": 9}}),
        (Ref(SERVICE, NAMESPACE, "cc-signaling"), {"spec": {"selector": {}}}),
        (Ref(CONFIG_MAP, NAMESPACE, "cc-directive"), {"data": {}}),
        (Ref(SECRET, NAMESPACE, "cc-redis"), {"data": {"url": "eA=="}}),
    ],
    ids=lambda value: value.name if isinstance(value, Ref) else "",
)
def test_an_edited_or_deleted_child_comes_back(ref: Ref, damage: dict[str, Any]) -> None:
    world = settled()
    wanted = {k: v for k, v in world.objects[ref].items() if k in ("spec", "data")}

    def edit(obj: Object) -> None:
        for part, values in damage.items():
            obj[part] = {**obj[part], **values} if values else {}

    world.edit(ref, edit)
    world.settle("cc")
    assert {k: v for k, v in world.objects[ref].items() if k in ("spec", "data")} == wanted
    if ref.kind != SECRET:
        world.vanish(ref.name) if ref.kind == POD else world.objects.pop(ref)
        world.settle("cc")
        assert ref in world.objects


def test_a_deleted_key_secret_is_made_anew() -> None:
    world = settled()
    ref = Ref(SECRET, NAMESPACE, names.turn_keys_secret("cc"))
    old = world.key_set(ref.name)
    world.objects.pop(ref)
    world.settle("cc")
    assert world.key_set(ref.name).mint != old.mint
    assert world.condition("cc", "TURNAvailable")["status"] == "True"


def test_an_object_of_somebody_else_is_left_alone_and_named() -> None:
    world = World()
    world.put(callcluster("cc"))
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "cc-signaling",
            "namespace": NAMESPACE,
            "labels": names.selector("cc"),
            "ownerReferences": [{"uid": "somebody", "controller": True}],
        },
        "spec": {"ports": []},
    }
    world.put(foreign)
    world.settle("cc")
    assert world.objects[Ref(SERVICE, NAMESPACE, "cc-signaling")]["spec"] == {"ports": []}
    ready = world.condition("cc", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NameTaken")
    assert "cc-signaling" in ready["message"]


def test_only_leftovers_of_our_own_are_deleted() -> None:
    world = settled()
    labels, owner = names.labels("cc", names.SIGNALING), world.objects[cc_ref("cc")]["metadata"]["uid"]
    for name, uid in (("ours", owner), ("theirs", "somebody")):
        world.put(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "labels": labels,
                    "ownerReferences": [{"uid": uid, "controller": True}],
                },
            }
        )
    deletes = [step for step in plan(world.observe("cc")).steps if isinstance(step, Delete)]
    assert [step.ref.name for step in deletes] == ["ours"]
    assert deletes[0].resource_version == world.objects[deletes[0].ref]["metadata"]["resourceVersion"]


def test_pods_of_deployments_are_left_to_them() -> None:
    world = settled()
    assert world.of_kind(POD, names.SIGNALING)
    world.put(callcluster("cc", turn={"replicas": 0}, signaling={"replicas": 1}))
    steps = plan(world.observe("cc")).steps
    assert not [s for s in steps if isinstance(s, Delete) and "-signaling-" in s.ref.name]


def test_a_paused_callcluster_is_only_looked_at() -> None:
    world = settled()
    world.put(callcluster("cc", paused=True, turn={"replicas": 3}))
    world.put(room("standup", state="Closed"))
    world.now += 1_000_000
    planned = plan(world.observe("cc"))
    assert {type(step) for step in planned.steps} == {WriteStatus}
    world.execute(planned)
    assert world.condition("cc", "Progressing")["reason"] == "Paused"
    assert len(world.turn_pods()) == 1
    assert plan(world.observe("cc")).is_empty


def test_a_callcluster_that_is_paused_from_the_start_is_told_so_once() -> None:
    world = World()
    world.put(callcluster("cc", paused=True))
    world.pass_over("cc")
    world.now += 1000
    assert plan(world.observe("cc")).is_empty
    assert "credentials" not in world.status("cc")


def test_a_callcluster_that_is_going_is_left_alone() -> None:
    world = settled()
    world.edit(cc_ref("cc"), lambda cc: cc["metadata"].update(deletionTimestamp="now"))
    assert plan(world.observe("cc")).is_empty


def test_a_spec_that_got_past_the_schema_is_a_condition_and_all_goes_on() -> None:
    world = settled()
    world.put(callcluster("cc", turn={"relayPortRange": {"min": 20000, "max": 20500}}))
    world.edit(cc_ref("cc"), lambda cc: cc.update(status={"turn": {"replicas": 1}}))
    planned = plan(world.observe("cc"))
    world.execute(planned)
    ready = world.condition("cc", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert "spec.turn.relayPortRange: the range must hold whole blocks" in ready["message"]
    assert world.status("cc")["turn"] == {"replicas": 1}, "the rest of the status stays"
    assert plan(world.observe("cc")).is_empty
    assert len(world.turn_pods()) == 1


def rotate(world: World, seconds: float) -> dict[str, Any]:
    world.now += seconds
    world.pass_over("cc")
    found: dict[str, Any] = world.status("cc")["credentials"]
    return found


def test_the_status_tells_a_rotation_step_by_step() -> None:
    world = settled(turn={"credentials": SHORT})
    first = world.status("cc")["credentials"]["mintKeyID"]
    staged = rotate(world, 100)
    assert (staged["phase"], staged["mintKeyID"], staged["pendingAcknowledgements"]) == ("Staged", first, 1)
    assert rotate(world, 5)["phase"] == "Staged", "the server has not confirmed"
    world.project()
    overlap = rotate(world, 1)
    assert (overlap["phase"], overlap["pendingAcknowledgements"]) == ("Overlap", 2)
    assert overlap["acceptedKeyIDs"] == [first, overlap["mintKeyID"]]
    assert "retirementTime" not in overlap
    assert world.condition("cc", "CredentialsRotated")["reason"] == "OverlapActive"
    world.project()
    assert "retirementTime" in rotate(world, 1)
    world.project()
    done = rotate(world, 29)
    assert (done["phase"], done["acceptedKeyIDs"]) == ("Settled", [overlap["mintKeyID"]])
    world.project()
    world.settle("cc")
    assert world.condition("cc", "CredentialsRotated")["reason"] == "Settled"


def test_a_rotation_that_hangs_names_the_pods_that_it_waits_for() -> None:
    world = settled(turn={"credentials": SHORT})
    rotate(world, 100)
    rotate(world, 301)
    said = world.condition("cc", "CredentialsRotated")
    assert (said["status"], said["reason"]) == ("False", "RotationOverdue")
    assert "cc-turn-0" in said["message"]
    assert plan(world.observe("cc")).wake_after == 1


def test_control_keys_rotate_by_time_and_by_the_reports_that_they_open() -> None:
    world = settled(turn={"credentials": SHORT})
    secret = names.control_secret("cc")
    ref = Ref(SECRET, NAMESPACE, secret)

    def phase(seconds: float) -> str:
        world.now += seconds
        world.pass_over("cc")
        world.project()
        ring = credentials.read(world.objects[ref], world.now)
        assert ring is not None
        return ring.phase

    assert phase(100) == "Staged"
    assert phase(119) == "Staged"
    assert phase(2) == "Overlap"
    silent = next(iter(world.processes.values()))
    silent.reports = False
    assert phase(500) == "Overlap", "a silent pod may not have the new key yet"
    silent.reports = True
    phase(1)
    assert phase(32) == "Settled"
    assert len(world.key_set(secret).keys) == 1


def test_key_secrets_are_only_overwritten_as_they_were_seen() -> None:
    world = settled(turn={"credentials": SHORT})
    world.now += 100
    applied = {
        step.manifest["metadata"]["name"]: step.manifest["metadata"].get("resourceVersion")
        for step in plan(world.observe("cc")).steps
        if isinstance(step, Apply) and step.manifest["kind"] == "Secret"
    }
    live = world.objects[Ref(SECRET, NAMESPACE, names.turn_keys_secret("cc"))]
    assert applied[names.turn_keys_secret("cc")] == live["metadata"]["resourceVersion"]


def test_a_key_set_that_somebody_wrote_is_taken_over() -> None:
    world = settled()
    ref = Ref(SECRET, NAMESPACE, names.turn_keys_secret("cc"))
    by_hand = keyset.KeySet("mine", (keyset.Key("mine", "m" * 43),))
    encoded = base64.b64encode(keyset.encode(by_hand)).decode()
    world.edit(ref, lambda secret: secret.update(data={keyset.KEYS_FILE: encoded}))
    world.settle("cc")
    assert world.key_set(ref.name) == by_hand
    assert world.status("cc")["credentials"]["mintKeyID"] == "mine"


def test_two_callclusters_on_one_node_get_ports_of_their_own() -> None:
    world = World(["n1"])
    for name in ("a", "b", "c"):
        world.put(callcluster(name))
    world.settle("a", "b", "c")
    slots = [world.status(name)["turn"]["servers"][0]["slot"] for name in ("a", "b", "c")]
    assert slots == [0, 1, 2]


def test_turn_is_available_when_signaling_sends_members_there() -> None:
    world = World()
    world.put(callcluster("cc"))
    for _ in range(6):
        world.pass_over("cc")
        world.remove_ended()
        world.work()
        for name, process in world.processes.items():
            process.directive = "old" if "-signaling-" in name else ""
    assert world.directive("cc").turn_uris
    assert world.condition("cc", "TURNAvailable")["reason"] == "NotAnnounced"
    world.project()
    world.pass_over("cc")
    assert world.condition("cc", "TURNAvailable")["status"] == "True"
    world.put(room("standup"))
    world.pass_over("cc")
    assert world.condition("cc", "TURNAvailable")["status"] == "True", "later news do not shake it"
