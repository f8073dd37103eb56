"""The :class:`~callcluster_operator.cluster.Cluster` port on a real API server.

Paths are made from a table of the kinds we use. The client library's own discovery would write a cache
file, which a read-only root file system refuses, and cost a dozen requests at start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from callcluster_operator.cluster import FIELD_MANAGER, ClusterError, ConflictError, InvalidObjectError
from callcluster_operator.objects import (
    CALL_CLUSTER,
    CHILD_KINDS,
    NODE,
    ROOM,
    SECRET,
    Kind,
    Object,
    Ref,
    ref_of,
)

PAGE_SIZE = 500
READ_SECONDS = 10.0
WRITE_SECONDS = 2.5
"""For a whole request. A write must be over before another replica may act: see ``lease``."""

LEASE = Kind("coordination.k8s.io/v1", "Lease")

_PLURALS = {kind: f"{kind.kind.lower()}s" for kind in (*CHILD_KINDS, CALL_CLUSTER, ROOM, NODE, LEASE)}
_PLURALS |= {kind: "networkpolicies" for kind in _PLURALS if kind.kind == "NetworkPolicy"}

Objects = list[Object]

OnCall = Callable[[str, str], None]
"""Told of every request: its verb and its outcome (``ok``, or the HTTP status, or ``error``)."""


class KubeCluster:
    """Five verbs on a real API server.

    Args:
        client: the process's one client.
        namespaces: what "all namespaces" means where the operator may see only some; empty means all.
        may_write: asked right before each write; ``False`` refuses it. A former leader is stopped by this
            even where it does not know yet that it lost the lease.
        on_call: counts requests.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        namespaces: Collection[str] = (),
        may_write: Callable[[], bool] = lambda: True,
        on_call: Objects = list[Object]

OnCall = lambda verb, outcome: None,
    ) -> None:
        self._client = client
        self._namespaces = tuple(namespaces)
        self._may_write = may_write
        self._on_call = on_call

    async def get(self, ref: Ref) -> Object | None:
        """The object, or ``None``."""
        status, body = await self._call("get", "GET", _path(ref.kind, ref.namespace, ref.name))
        if status == 404:
            return None
        return _answer(status, body, ref)

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """Objects of a kind, read page by page."""
        places = (
            (namespace,) if namespace is not None or not kind.namespaced else self._namespaces or (None,)
        )
        found = [await self._pages(kind, place, labels or {}) for place in places]
        return [item for items in found for item in items]

    async def apply(self, manifest: Object, *, field_manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply with force."""
        ref = ref_of(manifest)
        status, body = await self._call(
            "apply",
            "PATCH",
            _path(ref.kind, ref.namespace, ref.name),
            query={"fieldManager": field_manager, "force": "true"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )
        return _checked(status, body, ref)

    async def create(self, manifest: Object) -> Object:
        """Make an object that must not exist yet.

        Raises:
            ConflictError: it exists.
        """
        ref = ref_of(manifest)
        path = _path(ref.kind, ref.namespace)
        return _checked(*await self._call("create", "POST", path, body=manifest), ref)

    async def replace(self, manifest: Object) -> Object:
        """Write a whole object back.

        Raises:
            ConflictError: it is not at the manifest's ``resourceVersion`` any more.
        """
        ref = ref_of(manifest)
        path = _path(ref.kind, ref.namespace, ref.name)
        return _checked(*await self._call("replace", "PUT", path, body=manifest), ref)

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        """Delete the very object that was seen; what it owns goes in the background."""
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        status, body = await self._call(
            "delete",
            "DELETE",
            _path(ref.kind, ref.namespace, ref.name),
            body={"preconditions": preconditions, "propagationPolicy": "Background"},
        )
        if status != 404:
            _checked(status, body, ref)

    async def write_status(self, ref: Ref, status: Mapping[str, Any]) -> None:
        """Replace the status; the API server drops a write that changes nothing."""
        code, body = await self._call(
            "status",
            "PATCH",
            f"{_path(ref.kind, ref.namespace, ref.name)}/status",
            body=[{"op": "add", "path": "/status", "value": status}],
            content_type="application/json-patch+json",
        )
        if code != 404:
            _checked(code, body, ref)

    async def _pages(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Objects:
        query = {"limit": str(PAGE_SIZE)}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        items: Objects = []
        while True:
            status, body = await self._call("list", "GET", _path(kind, namespace), query=query)
            page = _answer(status, body, Ref(kind, namespace or "", ""))
            # Items of a list carry neither of the two.
            items.extend(
                {"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page["items"]
            )
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    async def _call(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> tuple[int, bytes]:
        if method != "GET" and not self._may_write():
            raise ClusterError("this replica is not the leader any more and writes nothing")
        outcome = "error"
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            seconds = READ_SECONDS if method == "GET" else WRITE_SECONDS
            response = await self._client.call_api(
                *request, _request_timeout=aiohttp.ClientTimeout(total=seconds)
            )
            data: bytes = await response.read()  # type: ignore[no-untyped-call]
            outcome = "ok" if response.status < 300 else str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(f"the API server can't be reached: {type(error).__name__}") from None
        finally:
            self._on_call(verb, outcome)
        return response.status, data


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    root = "/apis" if "/" in kind.api_version else "/api"
    place = f"/namespaces/{quote(namespace)}" if kind.namespaced and namespace else ""
    return f"{root}/{kind.api_version}{place}/{_PLURALS[kind]}" + (f"/{quote(name)}" if name else "")


def _answer(status: int, body: bytes, ref: Ref) -> Object:
    """What was asked for.

    Raises:
        ClusterError: the API server does not give it.
    """
    if status >= 300:
        raise ClusterError(_refusal(status, body, ref))
    answer: Object = json.loads(body)
    return answer


def _checked(status: int, body: bytes, ref: Ref) -> Object:
    """What was written.

    Raises:
        ConflictError: the object is another one now, or its namespace is gone.
        InvalidObjectError: refused by validation, a policy or missing rights.
        ClusterError: not written for another reason.
    """
    if status in (404, 409):
        raise ConflictError(_refusal(status, body, ref))
    if status in (400, 403, 422):
        raise InvalidObjectError(_refusal(status, body, ref))
    return _answer(status, body, ref)


def _refusal(status: int, body: bytes, ref: Ref) -> str:
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = ""
    if ref.kind == SECRET:
        message = ""  # it may quote what it refuses
    return f"{ref}: HTTP {status}" + (f": {message}" if message else "")


async def configuration(kubeconfig: Path | None) -> Configuration:
    """Where the API server is and how to log in: a kubeconfig, else the pod's service account.

    Raises:
        ClusterError: neither is there or usable.
    """
    settings = Configuration()
    try:
        if kubeconfig is not None:
            await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError) as error:
        raise ClusterError(f"no way to an API server: {error}") from None
    # Reads are asked again by the next pass, not by the library.
    settings.retries = None
    return settings


def client_of(settings: Configuration) -> ApiClient:
    """The process's one client. Close it when done."""
    client = ApiClient(settings)
    client.user_agent = FIELD_MANAGER
    return client
