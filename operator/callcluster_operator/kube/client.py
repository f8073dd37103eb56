"""The :class:`~callcluster_operator.cluster.Cluster` port on a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from callcluster_operator.cluster import FIELD_MANAGER, ClusterError, ConflictError, InvalidObjectError
from callcluster_operator.kube.paths import path_of
from callcluster_operator.objects import SECRET, Kind, Object, Ref, ref_of

PAGE_SIZE = 500
READ_SECONDS = 10.0
WRITE_SECONDS = 2.5
"""For a whole request. A write must be over before another replica may act: see ``lease``."""

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
        on_call: OnCall = lambda verb, outcome: None,
    ) -> None:
        self._client = client
        self._namespaces = tuple(namespaces)
        self._may_write = may_write
        self._on_call = on_call

    async def get(self, ref: Ref) -> Object | None:
        """The object, or ``None``."""
        status, body = await self._call("get", "GET", path_of(ref.kind, ref.namespace, ref.name))
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
            path_of(ref.kind, ref.namespace, ref.name),
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
        path = path_of(ref.kind, ref.namespace)
        return _checked(*await self._call("create", "POST", path, body=manifest), ref)

    async def replace(self, manifest: Object) -> Object:
        """Write a whole object back.

        Raises:
            ConflictError: it is not at the manifest's ``resourceVersion`` any more.
        """
        ref = ref_of(manifest)
        path = path_of(ref.kind, ref.namespace, ref.name)
        return _checked(*await self._call("replace", "PUT", path, body=manifest), ref)

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        """Delete the very object that was seen; what it owns goes in the background."""
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        status, body = await self._call(
            "delete",
            "DELETE",
            path_of(ref.kind, ref.namespace, ref.name),
            body={"preconditions": preconditions, "propagationPolicy": "Background"},
        )
        if status != 404:
            _checked(status, body, ref)

    async def write_status(
        self, ref: Ref, status: Mapping[str, Any], *, resource_version: str | None = None
    ) -> None:
        """Replace the status; the API server drops a write that changes nothing."""
        patch: list[dict[str, Any]] = [{"op": "add", "path": "/status", "value": status}]
        if resource_version is not None:
            seen = {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version}
            patch.append(seen)
        code, body = await self._call(
            "status",
            "PATCH",
            f"{path_of(ref.kind, ref.namespace, ref.name)}/status",
            body=patch,
            content_type="application/json-patch+json",
        )
        if code != 404:
            _checked(code, body, ref)

    async def _pages(self, kind: Kind, namespace: str | None, labels: Mapping[str, str]) -> Objects:
        query = {"limit": str(PAGE_SIZE)}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        items: Objects = []
        while True:
            status, body = await self._call("list", "GET", path_of(kind, namespace), query=query)
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
    # A wrong uid is a conflict to us, and an attempt to change an immutable field to the API server.
    if status in (404, 409) or (status == 422 and b'"field":"metadata.uid"' in body):
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
