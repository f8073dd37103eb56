"""The two key sets of a CallCluster, and who has to confirm their changes."""

from __future__ import annotations

from dataclasses import dataclass

from callcluster_operator.objects import SECRET, Object
from callcluster_operator.planning import credentials, names, pods
from callcluster_operator.planning.credentials import Policy, Ring
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.secrets import control_keys_manifest, turn_keys_manifest

CONTROL_PROPAGATION_SECONDS = 120
"""By when a kubelet has projected a changed Secret. Pods don't report which control keys they accept, so a
new one is used after this time; a pod that is later still answers 401 until then, and has no report."""


@dataclass(frozen=True)
class Rotation:
    """One key set, as it is to be from now on."""

    policy: Policy
    ring: Ring
    waiting: tuple[str, ...]
    """Pods that have to confirm the set before the next step."""
    manifest: Object


def turn_keys(installation: Installation) -> Rotation:
    """Keys of TURN credentials: TURN servers check them, signaling pods make them."""
    name = names.turn_keys_secret(installation.name)
    wanted = installation.spec.turn.credentials
    policy = _policy(installation, ttl=wanted.ttl_seconds)
    before = _read(installation, name, policy)
    now_is = _advance(
        installation,
        name,
        policy,
        before,
        accepted=not _servers_behind(installation, before),
        minted=not _makers_behind(installation, before),
    )
    waiting: tuple[str, ...] = ()
    if now_is.phase == "Staged":
        waiting = _servers_behind(installation, now_is)
    elif now_is.phase == "Overlap" and now_is.confirmed_at is None:
        waiting = _makers_behind(installation, now_is)
    manifest = turn_keys_manifest(installation, now_is.keys, credentials.notes_of(now_is))
    return Rotation(policy, now_is, waiting, manifest)


def control_keys(installation: Installation) -> Rotation:
    """Keys of the control ports: our pods check them, and the operator is the only one to use them.

    A report is the proof that its pod accepted the key.
    """
    name = names.control_secret(installation.name)
    policy = _policy(installation, ttl=0)
    before = _read(installation, name, policy)
    now = installation.now
    silent = tuple(
        pod["metadata"]["name"]
        for pod in (
            *installation.signaling_pods(),
            *installation.turn_pods(),
            *installation.sfu_pods(),
        )
        if pods.may_run(pod) and pod["metadata"]["name"] not in installation.observed.reports
    )
    now_is = _advance(
        installation,
        name,
        policy,
        before,
        accepted=before.staged_at is not None and now >= before.staged_at + CONTROL_PROPAGATION_SECONDS,
        minted=not silent,
    )
    waiting = silent if now_is.phase == "Overlap" and now_is.confirmed_at is None else ()
    manifest = control_keys_manifest(installation, now_is.keys, credentials.notes_of(now_is))
    return Rotation(policy, now_is, waiting, manifest)


def _policy(installation: Installation, *, ttl: int) -> Policy:
    wanted = installation.spec.turn.credentials.rotation
    return Policy(ttl, wanted.interval_seconds, wanted.overlap_seconds, wanted.skew_seconds)


def _read(installation: Installation, name: str, policy: Policy) -> Ring:
    found = credentials.read(installation.child(SECRET, name), installation.now)
    return found or credentials.first(installation.observed.entropy, name, policy, installation.now)


def _advance(
    installation: Installation, name: str, policy: Policy, before: Ring, *, accepted: bool, minted: bool
) -> Ring:
    if installation.spec.paused:
        return before
    return credentials.advance(
        before,
        policy,
        accepted=accepted,
        minted=minted,
        entropy=installation.observed.entropy,
        purpose=name,
        now=installation.now,
    )


def _servers_behind(installation: Installation, ring: Ring) -> tuple[str, ...]:
    """TURN servers that take sessions, or soon may, and have not confirmed the set.

    One that neither is ready nor reports is not waited for: it gets no sessions before it has caught up.
    """
    behind = []
    for pod in installation.turn_pods():
        report = installation.turn_report(pod)
        counts = pods.is_ready(pod) or report is not None
        leaving = (
            pods.is_terminating(pod)
            or pods.has_ended(pod)
            or names.DRAIN_STARTED in pod["metadata"].get("annotations", {})
        )
        if counts and not leaving and (report is None or report.key_set != ring.fingerprint):
            behind.append(str(pod["metadata"]["name"]))
    return tuple(behind)


def _makers_behind(installation: Installation, ring: Ring) -> tuple[str, ...]:
    """Signaling pods that may still make credentials with another key."""
    behind = []
    for pod in installation.signaling_pods():
        report = installation.signaling_report(pod)
        if pods.may_run(pod) and (report is None or report.key_set != ring.fingerprint):
            behind.append(str(pod["metadata"]["name"]))
    return tuple(behind)
