"""One CallCluster with its spec read and its surroundings at hand: what all of planning works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from callcluster_common.reports import SFUReport, SignalingReport, TURNReport

from callcluster_operator.api.v1alpha1 import CallClusterSpec
from callcluster_operator.objects import POD, Kind, Object, Ref
from callcluster_operator.observed import Observed, Platform
from callcluster_operator.planning import names


@dataclass(frozen=True)
class Installation:
    """A CallCluster whose spec can be used."""

    observed: Observed
    spec: CallClusterSpec

    @property
    def name(self) -> str:
        """Name of the CallCluster."""
        return str(self.observed.callcluster["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the CallCluster and all its children."""
        return str(self.observed.callcluster["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """By which children know their owner."""
        return str(self.observed.callcluster["metadata"]["uid"])

    @property
    def now(self) -> float:
        """Unix time of the snapshot."""
        return self.observed.now

    @property
    def platform(self) -> Platform:
        """What the operator's own installation settles."""
        return self.observed.platform

    def child(self, kind: Kind, name: str) -> Object | None:
        """A child as it is, or ``None``."""
        return self.observed.children.get(Ref(kind, self.namespace, name))

    def owns(self, obj: Object) -> bool:
        """Whether this very CallCluster controls an object."""
        return controller_uid(obj) == self.uid

    def turn_pods(self) -> list[Object]:
        """Pods of TURN servers, by name: those that the CallCluster controls, and those nobody does."""
        return [pod for pod in self._servers(names.TURN) if not self._is_named_as_sfu(pod)]

    def sfu_pods(self) -> list[Object]:
        """Pods of SFUs, as :meth:`turn_pods`."""
        return [pod for pod in self._servers(names.SFU) if self._is_named_as_sfu(pod)]

    def signaling_pods(self) -> list[Object]:
        """Pods of the signaling Deployment, by name."""
        selector = names.component_selector(self.name, names.SIGNALING).items()
        return [pod for pod in self._pods if selector <= pod["metadata"].get("labels", {}).items()]

    def signaling_report(self, pod: Object) -> SignalingReport | None:
        """What a signaling pod reported, if it did."""
        report = self.observed.reports.get(pod["metadata"]["name"])
        return report if isinstance(report, SignalingReport) else None

    def turn_report(self, pod: Object) -> TURNReport | None:
        """What a TURN server reported, if it did."""
        report = self.observed.reports.get(pod["metadata"]["name"])
        return report if isinstance(report, TURNReport) else None

    def sfu_report(self, pod: Object) -> SFUReport | None:
        """What an SFU reported, if it did."""
        report = self.observed.reports.get(pod["metadata"]["name"])
        return report if isinstance(report, SFUReport) else None

    def _servers(self, component: str) -> list[Object]:
        labels = names.component_selector(self.name, component).items()
        return [
            pod
            for pod in self._pods
            if self.owns(pod)
            or (controller_uid(pod) is None and labels <= pod["metadata"].get("labels", {}).items())
        ]

    def _is_named_as_sfu(self, pod: Object) -> bool:
        # By the name, which nobody can change: labels can be edited.
        return names.ordinal_of(self.name, names.SFU, pod["metadata"]["name"]) is not None

    @cached_property
    def _pods(self) -> list[Object]:
        return [self.observed.children[ref] for ref in sorted(self.observed.children) if ref.kind == POD]


def controller_uid(obj: Object) -> str | None:
    """The uid of the object that controls ``obj``."""
    for owner in obj["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return str(owner["uid"])
    return None
