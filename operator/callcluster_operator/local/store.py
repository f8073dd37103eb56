"""Objects in memory: the :class:`~callcluster_operator.cluster.Cluster` port without an API server.

It keeps what controllers rely on: field ownership of server-side apply, resource versions, uids,
generations, preconditions, finalizers, graceful deletion of pods, owner references, and events to whoever
watches. It does not validate against schemas, and fills no defaults.
"""

from __future__ import annotations

import copy
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from callcluster_operator.cluster import FIELD_MANAGER, ConflictError, InvalidObjectError
from callcluster_operator.local.fields import Path, merge, owned, without
from callcluster_operator.objects import POD, Kind, Object, Ref, ref_of

Change = Literal["ADDED", "MODIFIED", "DELETED"]
Subscriber = Callable[[Change, Object], None]

_SERVER_FIELDS = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]*[a-z0-9])?")


@dataclass
class _Record:
    object: Object
    owned: dict[str, frozenset[Path]] = field(default_factory=dict)
    """What each field manager applied last."""


class Store:
    """An in-memory cluster. Every change is complete when the coroutine returns; nothing happens later."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._records: dict[Ref, _Record] = {}
        self._version = 0
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` after each change with a copy of the object; what is returned ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    async def get(self, ref: Ref) -> Object | None:
        """The object, or ``None``."""
        record = self._records.get(ref)
        return copy.deepcopy(record.object) if record else None

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """Objects of a kind, by name."""
        wanted = (labels or {}).items()
        return [
            copy.deepcopy(record.object)
            for ref, record in sorted(self._records.items())
            if (ref.kind.api_version, ref.kind.kind) == (kind.api_version, kind.kind)
            and namespace in (None, ref.namespace)
            and wanted <= record.object["metadata"].get("labels", {}).items()
        ]

    async def apply(self, manifest: Object, *, field_manager: str = FIELD_MANAGER) -> Object:
        """Make what ``manifest`` says so; what this manager said before and says no more goes away.

        ``uid`` and ``resourceVersion`` in the manifest's metadata are preconditions; ``status`` is ignored.
        """
        ref = _checked_ref(manifest)
        record = self._records.get(ref)
        meta = manifest["metadata"]
        actual = record.object["metadata"] if record else {}
        for precondition in ("uid", "resourceVersion"):
            if meta.get(precondition, actual.get(precondition)) != actual.get(precondition):
                raise ConflictError(f"{ref} changed or vanished: its {precondition} is another one now")

        desired = {key: value for key, value in manifest.items() if key != "status"}
        desired["metadata"] = {key: value for key, value in meta.items() if key not in _SERVER_FIELDS}
        paths = owned(desired)
        if record is None:
            return self._create(ref, desired, field_manager, paths)
        others = frozenset[Path]().union(
            *(theirs for manager, theirs in record.owned.items() if manager != field_manager)
        )
        dropped = record.owned.get(field_manager, frozenset()) - paths - others
        record.owned[field_manager] = paths
        self._update(ref, merge(without(record.object, dropped), desired))
        return copy.deepcopy(record.object)

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        """Delete the very object that was seen.

        One with finalizers, and a pod that a node runs, only gets its ``deletionTimestamp`` here: it goes
        when the last finalizer is applied away, or the node calls :meth:`remove`.
        """
        record = self._records.get(ref)
        if record is None:
            return
        meta = record.object["metadata"]
        if meta["uid"] != uid or resource_version not in (None, meta["resourceVersion"]):
            raise ConflictError(f"{ref} is not the object that was seen")
        self._delete(ref)

    async def write_status(
        self, ref: Ref, status: Mapping[str, Any], *, resource_version: str | None = None
    ) -> None:
        """Replace the status; a vanished object is no error."""
        record = self._records.get(ref)
        if record is None:
            return
        if resource_version not in (None, record.object["metadata"]["resourceVersion"]):
            raise ConflictError(f"{ref} has changed since it was seen")
        self._update(ref, {**record.object, "status": copy.deepcopy(dict(status))})

    async def remove(self, ref: Ref) -> None:
        """Take an object away at once, whatever holds it: a node does so with a pod that has ended."""
        if ref in self._records:
            self._drop(ref)

    def _create(self, ref: Ref, desired: Object, manager: str, paths: frozenset[Path]) -> Object:
        self._version += 1
        created: Object = copy.deepcopy(desired)
        created["metadata"] |= {
            "uid": str(uuid.uuid4()),
            "resourceVersion": str(self._version),
            "generation": 1,
            "creationTimestamp": self._timestamp(),
        }
        self._records[ref] = _Record(created, {manager: paths})
        self._notify("ADDED", created)
        if any(orphan == ref for orphan in self._orphans()):
            # Its owner went while it was being made: what the garbage collector does.
            self._delete(ref)
        return copy.deepcopy(created)

    def _update(self, ref: Ref, changed: Object) -> None:
        record = self._records[ref]
        if changed == record.object:
            return
        self._version += 1
        changed = {**changed, "metadata": {**changed["metadata"], "resourceVersion": str(self._version)}}
        if _intent(changed) != _intent(record.object):
            changed["metadata"]["generation"] += 1
        record.object = changed
        if "deletionTimestamp" in changed["metadata"] and not self._is_held(ref):
            self._drop(ref)
        else:
            self._notify("MODIFIED", changed)

    def _delete(self, ref: Ref) -> None:
        record = self._records.get(ref)
        if record is None:
            return
        if not self._is_held(ref):
            self._drop(ref)
        elif "deletionTimestamp" not in record.object["metadata"]:
            changed = copy.deepcopy(record.object)
            changed["metadata"]["deletionTimestamp"] = self._timestamp()
            self._update(ref, changed)

    def _is_held(self, ref: Ref) -> bool:
        held = self._records[ref].object
        is_running_pod = ref.kind == POD and "nodeName" in held.get("spec", {})
        return bool(held["metadata"].get("finalizers")) or is_running_pod

    def _drop(self, ref: Ref) -> None:
        record = self._records.pop(ref)
        self._notify("DELETED", record.object)
        for orphan in list(self._orphans()):
            self._delete(orphan)

    def _orphans(self) -> Iterator[Ref]:
        living = {record.object["metadata"]["uid"] for record in self._records.values()}
        for ref, record in self._records.items():
            owners = record.object["metadata"].get("ownerReferences", [])
            if owners and not any(owner["uid"] in living for owner in owners):
                yield ref

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _notify(self, change: Change, changed: Object) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(change, copy.deepcopy(changed))


def _intent(obj: Object) -> Object:
    """What counts for ``generation``: all but metadata and status."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _checked_ref(manifest: Object) -> Ref:
    try:
        ref = ref_of(manifest)
    except (KeyError, TypeError):
        raise InvalidObjectError("an object needs apiVersion, kind and metadata.name") from None
    if not isinstance(ref.name, str) or not _NAME.fullmatch(ref.name):
        raise InvalidObjectError(f"{ref}: the name must be lower case letters, digits, '-' and '.'")
    return ref
