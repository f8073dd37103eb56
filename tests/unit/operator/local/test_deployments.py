"""Which pods a Deployment needs."""

from __future__ import annotations

from itertools import count

from callcluster_operator.local.deployments import (
    HASH_LABEL,
    change,
    owner_uid,
    pod_of,
    status,
    template_hash,
)
from callcluster_operator.objects import Object
from hypothesis import given
from hypothesis import strategies as st


def deployment(
    *, replicas: int = 2, image: str = "one", strategy: dict[str, object] | None = None
) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": "calls", "uid": "d1", "generation": 4},
        "spec": {
            "replicas": replicas,
            "strategy": strategy or {},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    }


def made(owner: Object, template: str) -> Object:
    return pod_of(owner, template, suffix=f"{next(NUMBERS):03}", node="here")


NUMBERS = count()


def pods(owner: Object, number: int, *, ready: bool = True, ending: bool = False) -> list[Object]:
    found = [made(owner, template_hash(owner)) for _ in range(number)]
    for pod in found:
        pod["status"] = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
        if ending:
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return found


def test_missing_pods_are_made_from_the_template_and_owned() -> None:
    owner = deployment()
    made_now = change(owner, [], made)
    assert len(made_now.create) == 2
    pod = made_now.create[0]
    assert owner_uid(pod) == "d1"
    assert pod["metadata"]["labels"] == {"app": "x", HASH_LABEL: template_hash(owner)}
    assert pod["spec"]["nodeName"] == "here"
    assert "nodeName" not in owner["spec"]["template"]["spec"]


def test_the_right_number_needs_nothing() -> None:
    owner = deployment()
    assert change(owner, pods(owner, 2), made) == change(owner, pods(owner, 2, ready=False), made)
    assert not change(owner, pods(owner, 2), made).create


def test_pods_that_are_ending_are_replaced() -> None:
    owner = deployment()
    assert len(change(owner, pods(owner, 2, ending=True), made).create) == 2


def test_old_pods_stay_until_the_new_ones_are_ready() -> None:
    old = pods(deployment(image="one"), 2)
    owner = deployment(image="two")
    first = change(owner, old, made)
    assert (len(first.create), first.delete) == (2, ())
    assert change(owner, old + pods(owner, 2, ready=False), made).delete == ()
    assert change(owner, old + pods(owner, 2), made).delete == tuple(old)


def test_recreate_makes_new_pods_only_when_the_old_are_gone() -> None:
    old = pods(deployment(image="one"), 1)
    owner = deployment(replicas=1, image="two", strategy={"type": "Recreate"})
    assert change(owner, old, made).delete == tuple(old)
    ending = pods(deployment(image="one"), 1, ending=True)
    assert change(owner, ending, made) == change(owner, ending, made)
    assert change(owner, ending, made).create == ()
    assert len(change(owner, [], made).create) == 1


def test_surplus_pods_go_not_ready_ones_first_then_the_cheapest() -> None:
    owner = deployment(replicas=1)
    ready, cheap, starting = pods(owner, 1)[0], pods(owner, 1)[0], pods(owner, 1, ready=False)[0]
    cheap["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    assert change(owner, [ready, cheap, starting], made).delete == (starting, cheap)


def test_the_status_counts_what_is_ready() -> None:
    owner = deployment(replicas=3)
    found = status(owner, pods(owner, 1) + pods(owner, 1, ready=False) + pods(owner, 1, ending=True))
    assert (found["replicas"], found["readyReplicas"], found["unavailableReplicas"]) == (2, 1, 2)
    assert found["observedGeneration"] == 4
    assert found["conditions"][0]["status"] == "False"


@given(
    replicas=st.integers(0, 4),
    old=st.integers(0, 4),
    new=st.integers(0, 4),
    recreate=st.booleans(),
)
def test_repeated_changes_end_with_the_wanted_pods_and_nothing_to_do(
    replicas: int, old: int, new: int, recreate: bool
) -> None:
    owner = deployment(replicas=replicas, image="two", strategy={"type": "Recreate"} if recreate else None)
    present = pods(deployment(image="one"), old) + pods(owner, new)
    for _ in range(6):
        step = change(owner, present, made)
        present = [pod for pod in present if pod not in step.delete]
        for pod in step.create:
            pod["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
            present.append(pod)
    step = change(owner, present, made)
    assert (step.create, step.delete) == ((), ())
    assert len(present) == replicas
    assert {pod["metadata"]["labels"][HASH_LABEL] for pod in present} <= {template_hash(owner)}
