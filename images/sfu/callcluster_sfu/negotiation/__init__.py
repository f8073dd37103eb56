"""Offers to answers and to what the plane shall do; decides on data alone.

The client always offers. It sends on sections of its own and has one receiving section for each track that
it was told of; which track that is, is said beside the offer, never in it.
"""

from callcluster_sfu.negotiation.commands import (
    AddLeg,
    AddPeer,
    AddTrack,
    AimLeg,
    Command,
    Encoding,
    ExtensionIds,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
    RestartIce,
    SetExtensions,
)
from callcluster_sfu.negotiation.negotiate import Outcome, negotiate
from callcluster_sfu.negotiation.numbers import Numbers
from callcluster_sfu.negotiation.policy import Forward, HostAddress, Policy
from callcluster_sfu.negotiation.state import Agreed, Negotiated

__all__ = [
    "AddLeg",
    "AddPeer",
    "AddTrack",
    "Agreed",
    "AimLeg",
    "Command",
    "Encoding",
    "ExtensionIds",
    "Forward",
    "HostAddress",
    "Negotiated",
    "Numbers",
    "Outcome",
    "Policy",
    "RemoveLeg",
    "RemovePeer",
    "RemoveTrack",
    "RestartIce",
    "SetExtensions",
    "negotiate",
]
