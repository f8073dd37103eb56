"""One pass of the reconciler, over the in-memory cluster."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from callcluster_common import keyset
from callcluster_common.keyset import KeySet
from callcluster_common.reports import Report
from callcluster_operator.cluster import ClusterError, ConflictError, InvalidObjectError
from callcluster_operator.kube.gather import control_keys, owner_of
from callcluster_operator.local.store import Store
from callcluster_operator.objects import CALL_CLUSTER, CONFIG_MAP, POD, ROOM, SECRET, Object, Ref, ref_of
from callcluster_operator.observed import Platform, PortClaim
from callcluster_operator.plan import Plan
from callcluster_operator.planning import names, ports
from callcluster_operator.reconciler import Reconciler
from kit.specs import callcluster, room

PLATFORM = Platform("signaling:1", "turn:1", "redis:7", "sfu:1")


class Silence:
    """Pods that don't answer."""

    async def read(self, pods: Iterable[Object], keys: KeySet) -> Mapping[str, Report]:
        return {}

    async def drain(self, pod: Object, keys: KeySet) -> None:
        raise ClusterError("nobody listens")


class SlowStore(Store):
    """Lets other tasks run inside every call, as a network would."""

    async def list(self, *args: Any, **kwargs: Any) -> list[Object]:
        await asyncio.sleep(0)
        return await super().list(*args, **kwargs)

    async def apply(self, *args: Any, **kwargs: Any) -> Object:
        await asyncio.sleep(0)
        return await super().apply(*args, **kwargs)


class Refusing(SlowStore):
    """Refuses one kind of object."""

    def __init__(self, kind: str, error: ClusterError) -> None:
        super().__init__()
        self.kind = kind
        self._error = error

    async def apply(self, manifest: Object, **kwargs: Any) -> Object:
        if manifest["kind"] == self.kind:
            raise self._error
        return await super().apply(manifest, **kwargs)


def reconciler(store: Store, now: float = 1_700_000_000.0) -> Reconciler:
    return Reconciler(
        store, Silence(), PLATFORM, clock=lambda: now, entropy=lambda: secrets.token_bytes(64)
    )


async def make(store: Store, name: str = "demo") -> Ref:
    return ref_of(await store.apply(callcluster(name, "calls", {}), field_manager="user"))


async def settle(reconcile: Reconciler, ref: Ref) -> Plan:
    for _ in range(10):
        done = await reconcile.reconcile(ref)
        if done.is_empty:
            return done
    raise AssertionError(f"still at work: {done.steps}")


async def test_passes_come_to_rest_and_then_write_nothing() -> None:
    store = Store()
    ref = await make(store)
    work = reconciler(store)
    await settle(work, ref)
    changes: list[str] = []
    store.subscribe(lambda change, obj: changes.append(change))
    done = await work.reconcile(ref)
    assert done.is_empty
    assert done.wake_after is not None
    assert changes == []


async def test_one_that_is_gone_or_going_is_left_alone() -> None:
    store = Store()
    work = reconciler(store)
    assert (await work.reconcile(Ref(CALL_CLUSTER, "calls", "never"))).is_empty
    going = callcluster("demo", "calls", {})
    going["metadata"]["finalizers"] = ["callcluster.dev/children"]
    made = await store.apply(going)
    await store.delete(ref_of(made), uid=made["metadata"]["uid"])
    assert (await work.reconcile(ref_of(made))).is_empty


async def test_callclusters_reconciled_at_once_share_no_port() -> None:
    store = SlowStore()
    refs = [await make(store, f"cc-{letter}") for letter in "abcdef"]
    work = reconciler(store)
    await asyncio.gather(*(work.reconcile(ref) for ref in refs))
    pods = await store.list(POD, labels=names.every_pod(names.TURN))
    claims = [claim for claim in map(ports.claim_of, pods) if isinstance(claim, PortClaim)]
    assert len(claims) == len(refs)
    for index, one in enumerate(claims):
        assert not any(ports.overlap(one, other) for other in claims[index + 1 :])


async def test_a_conflict_ends_the_pass_and_asks_for_another_soon() -> None:
    store = Refusing("Deployment", ConflictError("it changed"))
    ref = await make(store)
    done = await reconciler(store).reconcile(ref)
    assert done.wake_after is not None
    assert done.wake_after < 1
    found = await store.get(ref)
    assert found is not None
    assert "status" not in found, "nothing is done after the step that failed"


async def test_a_refusal_stands_in_the_status_once_and_goes_with_its_cause() -> None:
    store = Refusing("Pod", InvalidObjectError("violates PodSecurity"))
    ref = await make(store)
    work = reconciler(store)
    with pytest.raises(InvalidObjectError):
        await work.reconcile(ref)
    refused = await store.get(ref)
    assert refused is not None
    said = {each["type"]: (each["reason"], each["message"]) for each in refused["status"]["conditions"]}
    assert said["Ready"] == said["Progressing"] == ("Refused", "violates PodSecurity")

    with pytest.raises(InvalidObjectError):
        await work.reconcile(ref)
    assert await store.get(ref) == refused

    store.kind = ""
    await settle(work, ref)
    mended = await store.get(ref)
    assert mended is not None
    assert "Refused" not in str(mended["status"])


async def test_an_error_for_later_is_the_callers() -> None:
    store = Refusing("Deployment", ClusterError("later"))
    ref = await make(store)
    with pytest.raises(ClusterError, match="later"):
        await reconciler(store).reconcile(ref)


async def test_a_room_without_a_callcluster_says_so() -> None:
    store = Store()
    ref = ref_of(await store.apply(room("r-1", "calls", {})))
    work = reconciler(store)
    assert not (await work.reconcile_orphan(ref)).is_empty
    assert (await work.reconcile_orphan(ref)).is_empty
    orphan = await store.get(ref)
    assert orphan is not None
    assert "ClusterNotFound" in str(orphan["status"])


async def test_a_room_with_a_callcluster_is_no_orphan() -> None:
    store = Store()
    ref = ref_of(await store.apply(room("r-1", "calls", {})))
    await make(store)
    assert (await reconciler(store).reconcile_orphan(ref)).is_empty
    assert (await reconciler(store).reconcile_orphan(Ref(ROOM, "calls", "gone"))).is_empty
    found = await store.get(ref)
    assert found is not None
    assert "status" not in found


async def test_tear_down_takes_what_is_owned_and_nothing_that_looks_like_it() -> None:
    store = Store()
    ref = await make(store)
    work = reconciler(store)
    await settle(work, ref)
    alike = {"name": "mine", "namespace": "calls", "labels": names.selector("demo")}
    await store.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": alike}, field_manager="user")
    assert await work.tear_down(ref) > 10
    assert await work.tear_down(ref) == 0
    left = [each["metadata"]["name"] for each in await store.list(CONFIG_MAP)]
    assert left == ["mine"]
    assert await work.tear_down(Ref(CALL_CLUSTER, "calls", "never")) == 0


def test_broken_control_keys_are_none() -> None:
    def secret(data: dict[str, str]) -> dict[Ref, Object]:
        ref = Ref(SECRET, "calls", names.control_secret("demo"))
        return {ref: {"data": data}}

    good = KeySet("k1", (keyset.Key("k1", "a" * 43),))
    encoded = base64.b64encode(keyset.encode(good)).decode()
    assert control_keys(secret({keyset.KEYS_FILE: encoded}), "demo") == good
    assert control_keys(secret({keyset.KEYS_FILE: "%%%"}), "demo") is None
    assert control_keys(secret({keyset.KEYS_FILE: "e30="}), "demo") is None
    assert control_keys(secret({}), "demo") is None
    assert control_keys({}, "demo") is None


@pytest.mark.parametrize(
    "spec", [None, [], "demo", {}, {"clusterRef": "demo"}, {"clusterRef": {"name": 1}}]
)
def test_an_unreadable_room_belongs_to_nobody(spec: object) -> None:
    unreadable = {"metadata": {"name": "r-1", "namespace": "calls"}, "spec": spec}
    assert owner_of(unreadable) == Ref(CALL_CLUSTER, "calls", "")
