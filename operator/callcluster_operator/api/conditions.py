"""Conditions: what a status says about itself, and the one list of reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from callcluster_operator.api.times import timestamp

Status = Literal["True", "False", "Unknown"]

READY = "Ready"
PROGRESSING = "Progressing"
SIGNALING_AVAILABLE = "SignalingAvailable"
TURN_AVAILABLE = "TURNAvailable"
SFU_CAPACITY_AVAILABLE = "SFUCapacityAvailable"
RELAYS_REACH_SFUS = "RelaysReachSFUs"
ADDRESSES_RESOLVED = "AddressesResolved"
CREDENTIALS_ROTATED = "CredentialsRotated"
FINISHED = "Finished"
MEDIA_AVAILABLE = "MediaAvailable"

CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "CallCluster": {
        READY: "Members can place calls: signaling is up, and a TURN server where some are wanted.",
        PROGRESSING: "The operator is on its way to what the spec says.",
        SIGNALING_AVAILABLE: "A signaling pod takes sessions.",
        TURN_AVAILABLE: "A TURN server takes sessions.",
        SFU_CAPACITY_AVAILABLE: "An SFU takes rooms. Without one, members connect to each other.",
        RELAYS_REACH_SFUS: "TURN servers may send to every SFU, for members who need a relay.",
        ADDRESSES_RESOLVED: "Every TURN server that runs has an address for clients.",
        CREDENTIALS_ROTATED: "The keys of the TURN credentials are as young as the spec wants.",
    },
    "Room": {
        READY: "Members can join.",
        MEDIA_AVAILABLE: "The room's own SFU takes it. Only with `isolation: Dedicated`.",
        FINISHED: "The room has ended and does not open again.",
    },
}
"""What each condition means while it is true."""

REASONS: Mapping[str, str] = {
    "Active": "The room has not ended.",
    "AsWanted": "Everything is as the spec says.",
    "Available": "It takes sessions.",
    "Closed": "The room's spec closed it.",
    "Closing": "The room is to end, and signaling has not confirmed that nobody is in any more.",
    "ClusterNotFound": "The CallCluster that the room names does not exist in this namespace.",
    "Draining": "A TURN server or an SFU waits for its last calls to end.",
    "Empty": "Nobody was in the room for `emptyTimeoutSeconds`, though members could join.",
    "Full": "Every SFU has all rooms or participants that it may: raise `sfu.replicas` or these limits.",
    "InvalidSpec": "The spec can't be used; the message names the field and the way to mend it.",
    "MaxDuration": "The room was open for `maxDurationSeconds`.",
    "NameTaken": "An object that belongs to somebody else has a name that the operator needs.",
    "NoExternalAddress": "No source of `addressing.sources` knows an address for a server's node.",
    "NoServers": "No server runs yet.",
    "NotRequested": "`turn.replicas` or `sfu.replicas` is 0.",
    "NotAnnounced": "Signaling has not been told of the TURN servers yet.",
    "NotReporting": "Ready TURN servers don't answer the operator: open their control ports (9600 and up).",
    "OverlapActive": "A new key makes the credentials; the old one is still accepted.",
    "Paused": "`paused` is set.",
    "PeerDenied": "`turn.peerPolicy` keeps TURN servers from sending to an SFU's address.",
    "PodsNotReady": "No pod is ready; look at the pods and their events.",
    "PortsConflict": "A server shares ports with another CallCluster's, and moves to others.",
    "PortsExhausted": "No ports are free: widen `turn.relayPortRange` or `sfu.portRange`.",
    "RedisNotReady": "The managed Redis is not ready, or no signaling pod reaches Redis.",
    "Refused": "The API server refuses an object, as the message says; often Pod Security or a quota.",
    "PeersAllowed": "`turn.peerPolicy` lets TURN servers send to every SFU's address.",
    "Resolved": "Every TURN server has its address.",
    "RollingOut": "Pods are replaced, added or taken away.",
    "RotationOverdue": "The rotation waits for pods that have not confirmed the key set.",
    "SecretMissing": "A Secret that the spec names does not exist, or lacks a key; the message names it.",
    "Settled": "One key is in use.",
    "Staged": "A new key is being handed to the TURN servers.",
    "Unschedulable": "The scheduler finds no node for a server.",
}
"""Every reason that a condition can have."""


@dataclass(frozen=True)
class Condition:
    """One condition, without its times."""

    type: str
    status: Status
    reason: str
    message: str

    def __post_init__(self) -> None:
        assert self.reason in REASONS, self.reason


def merge(
    old: Iterable[Mapping[str, Any]], new: Iterable[Condition], *, generation: int, now: float
) -> list[dict[str, Any]]:
    """``new`` as a status lists it; where ``status`` did not change, the old transition time stays."""
    before = {condition["type"]: condition for condition in old}
    merged = []
    for condition in new:
        last = before.get(condition.type, {})
        unchanged = last.get("status") == condition.status and "lastTransitionTime" in last
        merged.append(
            {
                "type": condition.type,
                "status": condition.status,
                "observedGeneration": generation,
                "lastTransitionTime": last["lastTransitionTime"] if unchanged else timestamp(now),
                "reason": condition.reason,
                "message": condition.message,
            }
        )
    return merged
