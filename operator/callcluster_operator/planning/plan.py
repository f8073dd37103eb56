"""The whole decision: from what a CallCluster is to what is to be done for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callcluster_common.directive import Directive

from callcluster_operator.api.parse import parse_callcluster
from callcluster_operator.objects import CHILD_KINDS, POD, SECRET, Object, Ref, ref_of
from callcluster_operator.observed import Observed
from callcluster_operator.plan import Apply, Delete, Plan
from callcluster_operator.planning import (
    directives,
    drift,
    generated,
    names,
    pods,
    resting,
    rooms,
    rotation,
    sfu,
    signaling,
    turn,
)
from callcluster_operator.planning.installation import Installation, controller_uid
from callcluster_operator.planning.manifests import policies, redis, secrets
from callcluster_operator.planning.manifests import signaling as signaling_manifests
from callcluster_operator.planning.rotation import Rotation
from callcluster_operator.planning.signaling import Size
from callcluster_operator.planning.status import (
    Outlook,
    deployment_problem,
    invalid_steps,
    status_steps,
)

POLL_SECONDS = 1.0
"""How soon to look again while pods may report what no event tells: a key is loaded, a relay ended."""
REPORT_SECONDS = 10.0
"""How soon to look again for loads and counts."""


def plan(observed: Observed) -> Plan:
    """Decide what is to be done for one CallCluster.

    Secrets and settings come first, then workloads, then TURN servers and SFUs, so that no pod starts
    without what it reads, and no server is drained before signaling has been told to send nobody there.
    """
    if "deletionTimestamp" in observed.callcluster["metadata"]:
        return Plan()
    spec = parse_callcluster(observed.callcluster)
    if isinstance(spec, tuple):
        return Plan(invalid_steps(observed.callcluster, spec, observed.now))
    installation = Installation(observed, spec)

    has_redis = spec.redis.mode == "Managed" and observed.platform.redis_url is None
    turn_keys = rotation.turn_keys(installation)
    control_keys = rotation.control_keys(installation)
    tier = turn.decide(installation, turn_keys.ring.accepts_minting)
    size = signaling.decide(installation)
    salt = generated.kept_or_made(installation, names.salt_secret(installation.name), secrets.SALT_KEY)
    # Under a salt that is not kept, a room would have another name with the next pass, and another SFU.
    is_named = bool(
        generated.value_of(installation, names.salt_secret(installation.name), secrets.SALT_KEY)
    )
    sfus = sfu.decide(installation, rooms.with_own_sfu(installation, salt) if is_named else ())
    is_open = deployment_problem(installation, has_redis=has_redis) is None
    lives = rooms.decide(installation, salt, sfus, is_open=is_open)
    uris = tuple(uri for server in tier.taking for uri in server.turn_uris(spec.domain))
    directive = Directive(
        turn_uris=uris,
        stun_uris=tuple(server.stun_uri for server in tier.taking),
        turn_ttl_seconds=spec.turn.credentials.ttl_seconds,
        rooms=tuple(life.rule for life in lives if life.rule is not None),
    )
    desired = [
        turn_keys.manifest,
        control_keys.manifest,
        secrets.salt_manifest(installation, salt),
        signaling_manifests.directive_manifest(installation, directive),
        *_signaling(installation, size),
        *(_redis(installation) if has_redis else ()),
        *_policies(installation, sfus, has_redis=has_redis),
    ]
    applies, taken = _applies(installation, desired)
    steps = [*applies, *tier.steps, *sfus.steps, *_leftovers(installation, desired)]
    room_steps = [step for life in lives for step in life.steps]
    outlook = Outlook(
        turn_tier=tier,
        sfus=sfus,
        turn_keys=turn_keys,
        turn_uris=uris,
        is_announced=bool(installation.signaling_pods())
        and directives.is_followed(installation, directive),
        rooms=tuple(lives),
        has_keys=not spec.paused or ref_of(turn_keys.manifest) in observed.children,
        has_redis=has_redis,
        is_changing=bool(steps),
        names_taken=taken,
    )
    status = status_steps(installation, outlook)
    if spec.paused:
        return Plan(status)
    wake_at = [
        *_wake_times(turn_keys),
        *_wake_times(control_keys),
        *(life.wake_at for life in lives if life.wake_at is not None),
        *(at for at in (tier.wake_at, sfus.wake_at, size.wake_at) if at is not None),
    ]
    soonest = min((at - observed.now for at in wake_at if at > observed.now), default=REPORT_SECONDS)
    waits = (
        bool(turn_keys.waiting or control_keys.waiting)
        or not (tier.is_settled and sfus.is_settled)
        or directives.is_awaited(installation, directive)
    )
    patience = POLL_SECONDS if waits else REPORT_SECONDS
    return Plan((*steps, *room_steps, *status), max(0.1, min(soonest, patience)))


def _signaling(installation: Installation, size: Size) -> Iterator[Object]:
    if installation.spec.signaling.auth.jwt_secret_ref is None:
        name = names.jwt_secret(installation.name)
        yield secrets.jwt_manifest(
            installation, generated.kept_or_made(installation, name, secrets.JWT_KEY)
        )
    yield signaling_manifests.deployment_manifest(
        installation, replicas=size.replicas, annotations=size.annotations
    )
    yield signaling_manifests.service_manifest(installation)


def _redis(installation: Installation) -> Iterator[Object]:
    name = names.redis_secret(installation.name)
    password = generated.kept_or_made(installation, name, secrets.REDIS_PASSWORD_KEY)
    yield secrets.redis_manifest(installation, password)
    yield redis.deployment_manifest(installation)
    yield redis.service_manifest(installation)


def _policies(installation: Installation, sfus: sfu.Decision, *, has_redis: bool) -> Iterator[Object]:
    spec = installation.spec
    if sfus.exists:
        yield policies.service_account_manifest(installation, names.SFU, resting.notes(sfus.record))
    for component in (names.SIGNALING, names.TURN, *((names.REDIS,) if has_redis else ())):
        yield policies.service_account_manifest(installation, component)
    if spec.network_policy == "Managed":
        yield policies.signaling_network_policy(installation, has_redis=has_redis)
        if has_redis:
            yield policies.redis_network_policy(installation, has_sfu=sfus.exists)
    if spec.pod_disruption_budget == "Managed":
        yield policies.disruption_budget_manifest(installation, names.SIGNALING, {"maxUnavailable": 1})
        # Kubernetes counts bare pods only by a minimum. A single server must not hold up its node's drain:
        # when it is told to go it waits for its calls itself, and a successor is made at once.
        for component, replicas in ((names.TURN, spec.turn.replicas), (names.SFU, sfus.wanted)):
            if replicas > 1:
                yield policies.disruption_budget_manifest(
                    installation, component, {"minAvailable": replicas - 1}
                )


def _applies(installation: Installation, desired: Iterable[Object]) -> tuple[list[Apply], tuple[str, ...]]:
    """Applies for what is missing or differs, and objects of others that are in the way."""
    steps: list[Apply] = []
    taken: list[str] = []
    order = {kind: position for position, kind in enumerate(CHILD_KINDS)}
    for manifest in sorted(desired, key=lambda wanted: order[ref_of(wanted).kind]):
        ref = ref_of(manifest)
        live = installation.observed.children.get(ref)
        wanted = drift.stamped(manifest)
        if live is None:
            steps.append(Apply(wanted))
        elif controller_uid(live) not in (None, installation.uid):
            taken.append(str(ref))
        elif not pods.is_terminating(live) and not drift.contains(live, wanted):
            if ref.kind == SECRET:
                # Keys are read, decided on and written: never over what somebody wrote in between.
                wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            steps.append(Apply(wanted))
    return steps, tuple(taken)


def _leftovers(installation: Installation, desired: Iterable[Object]) -> Iterator[Delete]:
    """Objects that we made and want no more. Servers that are bare pods take leave in their own way."""
    wanted = {ref_of(manifest) for manifest in desired}
    for ref, child in sorted(installation.observed.children.items(), key=_by_ref):
        if (
            ref.kind != POD
            and ref not in wanted
            and installation.owns(child)
            and not pods.is_terminating(child)
        ):
            meta = child["metadata"]
            yield Delete(ref, meta["uid"], meta["resourceVersion"])


def _by_ref(item: tuple[Ref, Object]) -> Ref:
    return item[0]


def _wake_times(keys: Rotation) -> Iterator[float]:
    ring = keys.ring
    if ring.phase == "Settled":
        yield ring.due_at(keys.policy)
    elif ring.phase == "Staged" and ring.staged_at is not None:
        yield ring.staged_at + rotation.CONTROL_PROPAGATION_SECONDS
    retires_at = ring.retires_at(keys.policy)
    if retires_at is not None:
        yield retires_at
