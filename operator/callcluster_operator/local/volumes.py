"""A pod's volumes as plain directories: what a kubelet projects, projected here."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from callcluster_operator.objects import CONFIG_MAP, SECRET, Kind, Object

Lookup = Callable[[Kind, str], Object | None]
"""Finds an object of the pod's namespace by kind and name."""


class NotReadyError(Exception):
    """The pod can't start yet; the message says what it waits for."""


class UnsupportedError(Exception):
    """The pod wants what this machine can't give; the message says what."""


def data_of(obj: Object) -> dict[str, bytes]:
    """The values of a Secret or ConfigMap as bytes."""
    encoded = obj["data"] if obj["kind"] == "Secret" and "data" in obj else {}
    files = {name: base64.b64decode(value) for name, value in encoded.items()}
    if obj["kind"] == "ConfigMap":
        files |= {name: text.encode() for name, text in (obj.get("data") or {}).items()}
        files |= {name: base64.b64decode(value) for name, value in (obj.get("binaryData") or {}).items()}
    return files | {name: text.encode() for name, text in (obj.get("stringData") or {}).items()}


def field_of(pod: Object, path: str) -> str:
    """What a ``fieldRef`` names.

    Raises:
        UnsupportedError: not one of the fields that a pod here has.
    """
    metadata, head, _, key = pod["metadata"], *path.partition("['")
    match head, key:
        case (("metadata.name" | "metadata.namespace" | "metadata.uid"), ""):
            return str(metadata[head.removeprefix("metadata.")])
        case (("metadata.labels" | "metadata.annotations"), key):
            values = metadata.get(head.removeprefix("metadata.")) or {}
            if key:
                return str(values.get(key.removesuffix("']"), ""))
            return "\n".join(f'{name}="{value}"' for name, value in sorted(values.items()))
        case (("status.podIP" | "status.hostIP" | "status.podIPs" | "status.hostIPs"), ""):
            return "127.0.0.1"
        case "spec.nodeName", "":
            return str(pod["spec"].get("nodeName", ""))
        case "spec.serviceAccountName", "":
            return str(pod["spec"].get("serviceAccountName", "default"))
    raise UnsupportedError(f"field {path} is not known here")


def is_scratch(volume: Mapping[str, Any]) -> bool:
    """Whether the pod itself fills the volume."""
    return "emptyDir" in volume


def files_of(volume: Mapping[str, Any], pod: Object, lookup: Lookup) -> dict[str, bytes]:
    """The files of one volume that is not scratch, by their path in it.

    Raises:
        NotReadyError: a Secret or ConfigMap is not there yet.
        UnsupportedError: a kind of volume that only a cluster has.
    """
    if "secret" in volume:
        return _from_object(SECRET, volume["secret"], "secretName", lookup)
    if "configMap" in volume:
        return _from_object(CONFIG_MAP, volume["configMap"], "name", lookup)
    if "downwardAPI" in volume:
        return _from_pod(volume["downwardAPI"], pod)
    if "projected" in volume:
        files: dict[str, bytes] = {}
        for source in volume["projected"].get("sources", ()):
            # An API server adds its token to every pod; there is nobody here to show it to.
            if "serviceAccountToken" in source:
                continue
            if "secret" in source:
                files |= _from_object(SECRET, source["secret"], "name", lookup)
            elif "configMap" in source:
                files |= _from_object(CONFIG_MAP, source["configMap"], "name", lookup)
            elif "downwardAPI" in source:
                files |= _from_pod(source["downwardAPI"], pod)
        return files
    raise UnsupportedError(f"volume {volume['name']} is of a kind that only a cluster has")


def _from_object(kind: Kind, source: Mapping[str, Any], name_key: str, lookup: Lookup) -> dict[str, bytes]:
    name = source[name_key]
    found = lookup(kind, name)
    if found is None:
        if source.get("optional"):
            return {}
        raise NotReadyError(f"waits for {kind.kind} {name}")
    files = data_of(found)
    if "items" not in source:
        return files
    chosen = {}
    for item in source["items"]:
        if item["key"] in files:
            chosen[item["path"]] = files[item["key"]]
        elif not source.get("optional"):
            raise NotReadyError(f"waits for {item['key']} in {kind.kind} {name}")
    return chosen


def _from_pod(source: Mapping[str, Any], pod: Object) -> dict[str, bytes]:
    return {
        item["path"]: field_of(pod, item["fieldRef"]["fieldPath"]).encode()
        for item in source.get("items", ())
    }


def project(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make ``directory`` (0700) hold exactly ``files`` (0600); a reader sees a file old or new, never half.

    Raises:
        UnsupportedError: a path leads out of the directory.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = {directory / path: data for path, data in files.items()}
    for path, data in wanted.items():
        if not path.is_relative_to(directory) or ".." in path.parts:
            raise UnsupportedError(f"path {path.name} leads out of its volume")
        if path.is_file() and path.read_bytes() == data:
            continue
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        fresh.replace(path)
    for path in directory.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
