"""Where clients reach a server: the first source that knows."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.api.v1alpha1 import Addressing, StaticAddress
from callcluster_operator.planning.addresses import Address, candidates

POD = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}, "status": {"hostIP": "10.0.0.1"}}


def node(**annotations: str) -> dict[str, Any]:
    addresses = [
        {"type": "Hostname", "address": "n1"},
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "ExternalIP", "address": "203.0.113.1"},
        {"type": "ExternalIP", "address": "2001:db8::1"},
    ]
    return {"metadata": {"name": "n1", "annotations": annotations}, "status": {"addresses": addresses}}


STATIC = (
    StaticAddress(node_name="n1", address="198.51.100.1"),
    StaticAddress(node_name="n2", address="::1"),
)


@pytest.mark.parametrize(
    ("sources", "best"),
    [
        (("NodeExternalIP", "NodeInternalIP"), Address("203.0.113.1", "NodeExternalIP")),
        (("NodeInternalIP", "NodeExternalIP"), Address("10.0.0.1", "NodeInternalIP")),
        (("NodeAnnotation", "NodeExternalIP"), Address("198.51.100.9", "NodeAnnotation")),
        (("Static",), Address("198.51.100.1", "Static")),
    ],
)
def test_the_order_of_the_sources_decides(sources: Any, best: Address) -> None:
    addressing = Addressing(sources=sources, addresses=STATIC)
    known = candidates(addressing, POD, [node(**{addressing.annotation_key: " 198.51.100.9 "})])
    assert known[0] == best


def test_a_source_that_knows_nothing_usable_is_passed_over() -> None:
    addressing = Addressing(sources=("NodeAnnotation", "Static", "NodeInternalIP"))
    broken = node(**{addressing.annotation_key: "turn.example.org"})
    assert candidates(addressing, POD, [broken]) == [Address("10.0.0.1", "NodeInternalIP")]


def test_without_a_node_only_the_pod_itself_is_asked() -> None:
    assert candidates(Addressing(), POD, []) == [Address("10.0.0.1", "NodeInternalIP")]
    assert candidates(Addressing(), {**POD, "spec": {}, "status": {}}, [node()]) == []
