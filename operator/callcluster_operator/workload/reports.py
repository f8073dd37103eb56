"""Talks to the control ports of workload pods: reads load reports, starts drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

import aiohttp
import msgspec
from callcluster_common.keyset import KeySet
from callcluster_common.reports import Report, SFUReport, SignalingReport, TURNReport

from callcluster_operator.cluster import ClusterError
from callcluster_operator.objects import Object, ref_of
from callcluster_operator.planning import names

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
"""A pod answers within milliseconds; one that doesn't must not hold up the others."""

MAX_REPORT_BYTES = 4 * 1024 * 1024
"""Ten thousand rooms on one signaling pod are 300 kB: more than this is no report."""

_REPORTS: Mapping[str, type[Report]] = {
    names.SIGNALING: SignalingReport,
    names.TURN: TURNReport,
    names.SFU: SFUReport,
}


class ReportReader(Protocol):
    """What the reconciler asks of the pods."""

    async def read(self, pods: Iterable[Object], keys: KeySet) -> Mapping[str, Report]:
        """Reports of all pods that answer, by pod name; never raises for one that does not."""

    async def drain(self, pod: Object, keys: KeySet) -> None:
        """Tell a pod to take no new sessions.

        Raises:
            ClusterError: it could not be told; worth another try.
        """


class ControlPorts:
    """The pods' HTTP control ports. Use as a context manager: it keeps connections open."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def read(self, pods: Iterable[Object], keys: KeySet) -> Mapping[str, Report]:
        """Ask all pods at once; those that don't answer in time, or not properly, are left out."""
        asked = [pod for pod in pods if control_url(pod) and _report_type(pod)]
        answers = await asyncio.gather(*(self._read(pod, keys) for pod in asked))
        return {
            pod["metadata"]["name"]: report
            for pod, report in zip(asked, answers, strict=True)
            if report is not None
        }

    async def drain(self, pod: Object, keys: KeySet) -> None:
        """Tell a pod to take no new sessions."""
        url = control_url(pod)
        if url is None:
            raise ClusterError(f"{ref_of(pod)} has no address yet")
        try:
            async with self._session.post(f"{url}/drain", headers=_authorization(keys)) as response:
                if response.status != 202:
                    raise ClusterError(f"{ref_of(pod)} answered {response.status} to a drain")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(f"{ref_of(pod)} can't be told to drain: {type(error).__name__}") from None

    async def _read(self, pod: Object, keys: KeySet) -> Report | None:
        try:
            async with self._session.get(
                f"{control_url(pod)}/report", headers=_authorization(keys)
            ) as answer:
                answer.raise_for_status()
                body = await answer.content.read(MAX_REPORT_BYTES + 1)
                while not answer.content.at_eof() and len(body) <= MAX_REPORT_BYTES:
                    body += await answer.content.read(MAX_REPORT_BYTES + 1 - len(body))
            if len(body) > MAX_REPORT_BYTES:
                raise msgspec.ValidationError("the report is too long")
            return msgspec.json.decode(body, type=_report_type(pod))
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            logger.debug("%s gives no report: %s", ref_of(pod), type(error).__name__)
            return None


def control_url(pod: Object) -> str | None:
    """Where a pod's control port is, or ``None`` while the pod has no address or runs no more."""
    status = pod.get("status", {})
    if not status.get("podIP") or status.get("phase") != "Running":
        return None
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            if port.get("name") == names.CONTROL_PORT:
                address = status["podIP"]
                host = f"[{address}]" if ":" in address else address
                return f"http://{host}:{port['containerPort']}"
    return None


def _report_type(pod: Object) -> type[Report] | None:
    return _REPORTS.get(pod["metadata"].get("labels", {}).get(names.COMPONENT_LABEL, ""))


def _authorization(keys: KeySet) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.minting.secret}"}
