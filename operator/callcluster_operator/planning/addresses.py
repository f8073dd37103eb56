"""Under which address clients reach a TURN server: the ladder of ``addressing.sources``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from callcluster_operator.api.parse import is_address
from callcluster_operator.api.v1alpha1 import Addressing, AddressSource
from callcluster_operator.objects import Object

SAME = "none"
"""Content of the pod's annotation where clients reach it at the node's own address."""


@dataclass(frozen=True)
class Address:
    """An address and where it comes from."""

    address: str
    source: AddressSource | None
    """``None`` where no source knows the address any more."""


def candidates(addressing: Addressing, pod: Object, nodes: Iterable[Object]) -> list[Address]:
    """All addresses that the sources know for the pod's node, best first."""
    node_name = pod["spec"].get("nodeName", "")
    node = next((node for node in nodes if node["metadata"]["name"] == node_name), None)
    return [
        Address(address, source)
        for source in addressing.sources
        for address in _known(source, addressing, pod, node)
        if is_address(address)
    ]


def host_address(pod: Object) -> str | None:
    """The node's own address, which a pod on the host network listens on."""
    address = pod.get("status", {}).get("hostIP")
    return str(address) if address else None


def _known(
    source: AddressSource, addressing: Addressing, pod: Object, node: Object | None
) -> Iterator[str]:
    if source == "Static":
        for static in addressing.addresses:
            if static.node_name == pod["spec"].get("nodeName"):
                yield static.address
    elif source == "NodeInternalIP":
        # The kubelet says so itself; the node object may be out of our sight.
        own = host_address(pod)
        yield from [own] if own else []
    elif node is not None:
        if source == "NodeAnnotation":
            yield node["metadata"].get("annotations", {}).get(addressing.annotation_key, "").strip()
        else:
            for known in node.get("status", {}).get("addresses", ()):
                if known.get("type") == "ExternalIP":
                    yield str(known.get("address", ""))
