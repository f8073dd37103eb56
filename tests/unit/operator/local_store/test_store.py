"""The in-memory cluster behaves as the API server does where controllers rely on it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from callcluster_operator.cluster import ConflictError, InvalidObjectError
from callcluster_operator.local.store import Store
from callcluster_operator.objects import CONFIG_MAP, DEPLOYMENT, POD, Kind, Object, Ref


def config_map(name: str = "demo", **fields: Any) -> Object:
    meta = {"name": name, "namespace": "calls", **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **fields}


def pod(name: str = "demo-0", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "calls"},
        "spec": spec,
    }


def owned_by(owner: Object) -> dict[str, Any]:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
    }
    return {"ownerReferences": [{**reference, "uid": owner["metadata"]["uid"]}]}


DEMO = Ref(CONFIG_MAP, "calls", "demo")
POD_0 = Ref(POD, "calls", "demo-0")


@pytest.fixture
def store() -> Store:
    return Store(clock=lambda: 1_700_000_000.0)


async def test_a_new_object_gets_what_the_server_gives(store: Store) -> None:
    made = await store.apply(config_map(data={"a": "1"}))
    meta = made["metadata"]
    assert meta["uid"]
    assert meta["resourceVersion"]
    assert meta["generation"] == 1
    assert meta["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert await store.get(DEMO) == made


async def test_an_equal_apply_changes_nothing(store: Store) -> None:
    made = await store.apply(config_map(data={"a": "1"}))
    changes: list[str] = []
    store.subscribe(lambda change, _: changes.append(change))
    assert await store.apply(config_map(data={"a": "1"})) == made
    assert changes == []


async def test_what_is_said_no_more_goes_away(store: Store) -> None:
    await store.apply(config_map(data={"a": "1", "b": "2"}, metadata={"labels": {"x": "y"}}))
    after = await store.apply(config_map(data={"b": "2"}))
    assert after["data"] == {"b": "2"}
    assert "labels" not in after["metadata"]


async def test_what_others_said_stays(store: Store) -> None:
    await store.apply(config_map(data={"ours": "1", "shared": "1"}))
    await store.apply(config_map(data={"theirs": "2", "shared": "1"}), field_manager="somebody")
    after = await store.apply(config_map(data={"ours": "3"}))
    assert after["data"] == {"ours": "3", "theirs": "2", "shared": "1"}


async def test_the_last_word_counts_and_the_first_speaker_keeps_the_field(store: Store) -> None:
    await store.apply(config_map(data={"a": "ours"}))
    await store.apply(config_map(data={"a": "theirs"}), field_manager="somebody")
    assert (await store.apply(config_map(data={"a": "ours"})))["data"] == {"a": "ours"}
    gone = await store.apply(config_map(), field_manager="somebody")
    assert gone["data"] == {"a": "ours"}


async def test_items_of_keyed_lists_are_merged_and_others_replaced(store: Store) -> None:
    first = pod(
        containers=[{"name": "main", "args": ["a", "b"], "env": [{"name": "X", "value": "1"}]}],
        tolerations=[1],
    )
    await store.apply(first)
    sidecar = pod(containers=[{"name": "sidecar", "image": "proxy"}])
    await store.apply(sidecar, field_manager="mesh")
    second = pod(containers=[{"name": "main", "args": ["c"], "env": [{"name": "Y", "value": "2"}]}])
    after = (await store.apply(second))["spec"]
    assert after["containers"] == [
        {"name": "main", "args": ["c"], "env": [{"name": "Y", "value": "2"}]},
        {"name": "sidecar", "image": "proxy"},
    ]
    assert "tolerations" not in after


async def test_an_item_whose_last_speaker_leaves_goes(store: Store) -> None:
    ports = [{"containerPort": 3478, "protocol": "UDP"}, {"containerPort": 3478, "protocol": "TCP"}]
    await store.apply(pod(containers=[{"name": "main", "ports": ports}]))
    after = await store.apply(pod(containers=[{"name": "main", "ports": ports[:1]}]))
    assert after["spec"]["containers"][0]["ports"] == ports[:1]


async def test_only_intent_counts_as_a_generation(store: Store) -> None:
    await store.apply(config_map(data={"a": "1"}))
    assert (await store.apply(config_map(data={"a": "1"}, metadata={"labels": {"x": "y"}})))["metadata"][
        "generation"
    ] == 1
    await store.write_status(DEMO, {"ready": True})
    assert (await store.apply(config_map(data={"a": "2"})))["metadata"]["generation"] == 2


async def test_apply_leaves_the_status_alone_and_status_the_rest(store: Store) -> None:
    await store.apply(config_map(data={"a": "1"}, status={"ready": False}))
    await store.write_status(DEMO, {"ready": True, "count": 1})
    await store.write_status(DEMO, {"ready": True})
    after = await store.apply(config_map(data={"a": "2"}))
    assert after["status"] == {"ready": True}
    assert after["data"] == {"a": "2"}
    await store.write_status(Ref(CONFIG_MAP, "calls", "gone"), {"ready": True})


@pytest.mark.parametrize("precondition", ["uid", "resourceVersion"])
async def test_a_precondition_stops_a_stale_apply(store: Store, precondition: str) -> None:
    seen = await store.apply(config_map(data={"a": "1"}))
    guarded = {precondition: seen["metadata"][precondition]}
    await store.apply(config_map(data={"a": "2"}, metadata=guarded))
    uid = seen["metadata"]["uid"]
    await store.delete(DEMO, uid=uid)
    with pytest.raises(ConflictError):
        await store.apply(config_map(data={"a": "3"}, metadata=guarded))
    assert await store.get(DEMO) is None


async def test_only_the_object_that_was_seen_is_deleted(store: Store) -> None:
    seen = (await store.apply(config_map(data={"a": "1"})))["metadata"]
    await store.apply(config_map(data={"a": "2"}))
    with pytest.raises(ConflictError):
        await store.delete(DEMO, uid=seen["uid"], resource_version=seen["resourceVersion"])
    with pytest.raises(ConflictError):
        await store.delete(DEMO, uid="another")
    await store.delete(DEMO, uid=seen["uid"])
    await store.delete(DEMO, uid=seen["uid"])
    assert await store.get(DEMO) is None


async def test_children_go_with_their_owner_and_their_own_with_them(store: Store) -> None:
    owner = await store.apply(config_map("owner"))
    child = await store.apply(config_map("child", metadata=owned_by(owner)))
    await store.apply(config_map("grandchild", metadata=owned_by(child)))
    await store.apply(config_map("stranger"))
    await store.delete(Ref(CONFIG_MAP, "calls", "owner"), uid=owner["metadata"]["uid"])
    assert [left["metadata"]["name"] for left in await store.list(CONFIG_MAP)] == ["stranger"]


async def test_a_child_of_an_owner_that_is_gone_does_not_stay(store: Store) -> None:
    owner = await store.apply(config_map("owner"))
    await store.delete(Ref(CONFIG_MAP, "calls", "owner"), uid=owner["metadata"]["uid"])
    await store.apply(config_map("late", metadata=owned_by(owner)))
    assert await store.list(CONFIG_MAP) == []


async def test_a_finalizer_holds_an_object_until_it_is_applied_away(store: Store) -> None:
    made = await store.apply(config_map(metadata={"finalizers": ["callcluster.dev/children"]}))
    await store.delete(DEMO, uid=made["metadata"]["uid"])
    going = await store.get(DEMO)
    assert going is not None
    assert "deletionTimestamp" in going["metadata"]
    await store.apply(config_map())
    assert await store.get(DEMO) is None


async def test_a_running_pod_waits_for_its_node_and_a_waiting_one_goes_at_once(store: Store) -> None:
    made = await store.apply(pod(nodeName="here"))
    await store.delete(POD_0, uid=made["metadata"]["uid"])
    going = await store.get(POD_0)
    assert going is not None
    assert "deletionTimestamp" in going["metadata"]
    await store.remove(POD_0)
    assert await store.get(POD_0) is None

    waiting = await store.apply(pod())
    await store.delete(POD_0, uid=waiting["metadata"]["uid"])
    assert await store.get(POD_0) is None


async def test_lists_select_by_kind_namespace_and_labels(store: Store) -> None:
    await store.apply(config_map("a", metadata={"labels": {"x": "1", "y": "1"}}))
    await store.apply(config_map("b", metadata={"labels": {"x": "1"}, "namespace": "other"}))
    await store.apply(pod())

    async def names(kind: Kind = CONFIG_MAP, **wanted: Any) -> list[str]:
        return [found["metadata"]["name"] for found in await store.list(kind, **wanted)]

    assert await names() == ["a", "b"]
    assert await names(namespace="calls") == ["a"]
    assert await names(labels={"x": "1"}) == ["a", "b"]
    assert await names(labels={"x": "1", "y": "1"}) == ["a"]
    assert await names(POD) == ["demo-0"]
    assert await names(DEPLOYMENT) == []


async def test_subscribers_hear_of_each_change_until_they_leave(store: Store) -> None:
    heard: list[tuple[str, str]] = []
    leave = store.subscribe(lambda change, obj: heard.append((change, obj["metadata"]["name"])))
    made = await store.apply(config_map())
    await store.apply(config_map(data={"a": "1"}))
    await store.write_status(DEMO, {"ready": True})
    await store.delete(DEMO, uid=made["metadata"]["uid"])
    leave()
    await store.apply(config_map())
    assert heard == [("ADDED", "demo"), ("MODIFIED", "demo"), ("MODIFIED", "demo"), ("DELETED", "demo")]


async def test_nobody_shares_the_stores_own_objects(store: Store) -> None:
    manifest = config_map(data={"a": "1"})
    before = copy.deepcopy(manifest)
    made = await store.apply(manifest)
    made["data"]["a"] = "tampered"
    manifest["data"]["a"] = "tampered"
    found = await store.get(DEMO)
    assert found is not None
    assert found["data"] == before["data"]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-a", ""])
async def test_a_name_that_the_api_server_refuses_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidObjectError, match="name"):
        await store.apply(config_map(name))
