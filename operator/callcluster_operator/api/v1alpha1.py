"""The specs of ``callcluster.dev/v1alpha1`` as Python values.

``crds/`` is the source of truth: names, bounds and defaults here are the same, and a test compares them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

LogLevel = Literal["debug", "info", "warning", "error"]
Managed = Literal["Managed", "Unmanaged"]
AddressSource = Literal["NodeExternalIP", "NodeAnnotation", "Static", "NodeInternalIP"]
Replicas = Annotated[int, Meta(ge=1, le=200)]
Quantity = (
    int
    | Annotated[
        str, Meta(pattern=r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$")
    ]
)
Networks = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=253)]


class Spec(Struct, frozen=True, rename="camel", kw_only=True):
    """Base of all parts of a spec."""


class NamedKeyRef(Spec, frozen=True):
    """A key of a Secret."""

    name: Name
    key: Name


class JWTSecretRef(NamedKeyRef, frozen=True):
    """Where members' tokens are signed with."""

    key: Name = "secret"


class URLSecretRef(NamedKeyRef, frozen=True):
    """Where the URL of Redis is."""

    key: Name = "url"


class Autoscaling(Spec, frozen=True):
    """Bounds and target of the signaling tier."""

    min_replicas: Replicas = 2
    max_replicas: Replicas = 10
    target_sessions_per_replica: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    scale_down_stabilization_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 300


class Auth(Spec, frozen=True):
    """Who may join."""

    jwt_secret_ref: JWTSecretRef | None = None
    guests: Literal["Allowed", "Denied"] = "Denied"


class SignalingDrain(Spec, frozen=True):
    """How a signaling pod takes leave of its sessions."""

    spread_seconds: Annotated[int, Meta(ge=1, le=3600)] = 45


class Signaling(Spec, frozen=True):
    """The signaling tier."""

    replicas: Replicas | None = None
    autoscaling: Autoscaling | None = None
    cors_origins: Annotated[
        tuple[Annotated[str, Meta(max_length=300, pattern=r"^(\*|https?://[^/\s,]+)$")], ...],
        Meta(max_length=50),
    ] = ()
    log_level: LogLevel = "info"
    auth: Auth = Auth()
    drain: SignalingDrain = SignalingDrain()


class Redis(Spec, frozen=True):
    """The bus between signaling pods."""

    mode: Literal["Managed", "External"] = "Managed"
    url_secret_ref: URLSecretRef | None = None


class PortRange(Spec, frozen=True):
    """First and last port, both included."""

    min: Annotated[int, Meta(ge=10_000, le=65535)] = 20_000
    max: Annotated[int, Meta(ge=10_000, le=65535)] = 27_999


class SFUPortRange(PortRange, frozen=True):
    """First and last port of the SFUs, both included."""

    min: Annotated[int, Meta(ge=10_000, le=65535)] = 28_000
    max: Annotated[int, Meta(ge=10_000, le=65535)] = 29_999


class PeerPolicy(Spec, frozen=True):
    """To which addresses a relay may send."""

    allowed_cidrs: Networks = field(default=(), name="allowedCIDRs")
    denied_cidrs: Networks = field(default=(), name="deniedCIDRs")


class Quota(Spec, frozen=True):
    """What one user or server may take; 0 is without a limit."""

    allocations_per_user: Annotated[int, Meta(ge=1, le=10_000)] = 12
    total_allocations: Annotated[int, Meta(ge=0, le=65535)] = 0
    bits_per_second_per_allocation: Annotated[int, Meta(ge=0, le=10_000_000_000)] = 0


class Rotation(Spec, frozen=True):
    """When keys change."""

    interval_seconds: Annotated[int, Meta(ge=20, le=31_536_000)] = 86_400
    overlap_seconds: Annotated[int, Meta(ge=12, le=2_592_000)] = 7200
    skew_seconds: Annotated[int, Meta(ge=1, le=600)] = 60


class Credentials(Spec, frozen=True):
    """The credentials that members get, and their keys."""

    ttl_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 3600
    rotation: Rotation = Rotation()


class TURNDrain(Spec, frozen=True):
    """How a TURN server takes leave of its relays."""

    timeout_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 3600


class TURN(Spec, frozen=True):
    """The TURN servers."""

    replicas: Annotated[int, Meta(ge=0, le=200)] = 1
    log_level: LogLevel = "info"
    relay_port_range: PortRange = PortRange()
    ports_per_replica: Annotated[int, Meta(ge=10, le=16_000)] = 1000
    listening_port: Annotated[int, Meta(ge=1025, le=9400)] = 3478
    peer_policy: PeerPolicy = PeerPolicy()
    quota: Quota = Quota()
    credentials: Credentials = Credentials()
    drain: TURNDrain = TURNDrain()

    @property
    def slots(self) -> int:
        """How many servers the relay range has ports for on one node."""
        return (self.relay_port_range.max - self.relay_port_range.min + 1) // self.ports_per_replica


class SFUDrain(Spec, frozen=True):
    """How an SFU takes leave of its participants."""

    timeout_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 3600


class SFU(Spec, frozen=True):
    """The SFUs."""

    replicas: Annotated[int, Meta(ge=0, le=200)] = 0
    log_level: LogLevel = "info"
    port_range: SFUPortRange = SFUPortRange()
    rooms_per_replica: Annotated[int, Meta(ge=1, le=10_000)] = 200
    participants_per_replica: Annotated[int, Meta(ge=2, le=10_000)] = 500
    drain: SFUDrain = SFUDrain()


class StaticAddress(Spec, frozen=True):
    """Address of one node."""

    node_name: Name
    address: str


class Addressing(Spec, frozen=True):
    """Where external addresses come from."""

    sources: Annotated[tuple[AddressSource, ...], Meta(min_length=1, max_length=4)] = (
        "NodeExternalIP",
        "NodeAnnotation",
        "NodeInternalIP",
    )
    annotation_key: Annotated[str, Meta(min_length=1, max_length=317)] = "callcluster.dev/external-address"
    addresses: Annotated[tuple[StaticAddress, ...], Meta(max_length=500)] = ()


class SecretRef(Spec, frozen=True):
    """A Secret."""

    name: Name


class TLS(Spec, frozen=True):
    """Certificate of the TURN servers."""

    secret_ref: SecretRef


class Resources(Spec, frozen=True):
    """As a container has them."""

    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}


class Workload(Spec, frozen=True):
    """Image and resources of one component's pods."""

    image: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    resources: Resources | None = None


class Template(Spec, frozen=True):
    """What the pods are made of."""

    signaling: Workload = Workload()
    turn: Workload = Workload()
    sfu: Workload = Workload()
    redis: Workload = Workload()


class CallClusterSpec(Spec, frozen=True):
    """Spec of a CallCluster."""

    domain: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=240,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]
    paused: bool = False
    signaling: Signaling = Signaling()
    redis: Redis = Redis()
    turn: TURN = TURN()
    sfu: SFU = SFU()
    addressing: Addressing = Addressing()
    tls: TLS | None = None
    network_policy: Managed = "Managed"
    pod_disruption_budget: Managed = "Managed"
    template: Template = Template()


class ClusterRef(Spec, frozen=True):
    """A CallCluster of the same namespace."""

    name: Name


class Encryption(Spec, frozen=True):
    """End-to-end encryption: always."""

    mode: Literal["Required"] = "Required"


_Bound = Annotated[int, Meta(ge=0, le=31_536_000)]


class RoomSpec(Spec, frozen=True):
    """Spec of a Room."""

    cluster_ref: ClusterRef
    state: Literal["Open", "Closed"] = "Open"
    isolation: Literal["Shared", "Dedicated"] = "Shared"
    max_participants: Annotated[int, Meta(ge=2, le=100)] = 50
    max_duration_seconds: _Bound = 0
    empty_timeout_seconds: _Bound = 300
    ttl_seconds_after_finished: _Bound = 600
    encryption: Encryption = Encryption()
