"""What a pod's container runs on this machine: arguments and environment, with places put right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcluster_operator.local.volumes import Lookup, NotReadyError, UnsupportedError, data_of, field_of
from callcluster_operator.objects import CONFIG_MAP, SECRET, Object

_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True)
class Command:
    """What to run. ``env`` holds secrets: it is shown nowhere."""

    argv: tuple[str, ...]
    env: Mapping[str, str]

    def __repr__(self) -> str:
        """Leave the values out."""
        return f"Command({self.argv[0]!r}, env={sorted(self.env)})"


def only_container(pod: Object) -> dict[str, Any]:
    """The pod's one container.

    Raises:
        UnsupportedError: it has several.
    """
    containers: list[dict[str, Any]] = pod["spec"]["containers"]
    if len(containers) != 1 or pod["spec"].get("initContainers"):
        raise UnsupportedError("a pod with several containers can't run here")
    return containers[0]


@dataclass(frozen=True)
class Places:
    """Where things are on this machine that a pod knows by another name."""

    paths: Mapping[str, Path]
    """Directories, by mount path."""
    addresses: Mapping[str, str]
    """Addresses (``host:port``) of Services, by the address that a pod is given."""

    def put_right(self, text: str) -> str:
        """A path below a mount path, or a text with such addresses, as they are here."""
        for mount_path, place in self.paths.items():
            if text == mount_path or text.startswith(mount_path + "/"):
                return str(place) + text[len(mount_path) :]
        for known, here in self.addresses.items():
            text = re.sub(rf"(?<![\w.]){re.escape(known)}(?!\d)", here, text)
        return text


def mounts_of(pod: Object, directory: Path) -> dict[str, Path]:
    """Where each mount path of the container lies on this machine, below ``directory``."""
    return {
        mount["mountPath"].rstrip("/"): directory / "volumes" / mount["name"]
        for mount in only_container(pod).get("volumeMounts", ())
    }


def command(
    pod: Object,
    program: Sequence[str],
    *,
    base: Mapping[str, str],
    places: Places,
    lookup: Lookup,
) -> Command:
    """Resolve a container's environment and arguments.

    Args:
        pod: the pod, with the ports that it has here.
        program: what stands for the image's entry point.
        base: variables that a program needs on this machine.
        places: where on this machine things are.
        lookup: finds Secrets and ConfigMaps.

    Raises:
        NotReadyError: a Secret or ConfigMap is missing.
        UnsupportedError: a reference to what only a cluster has.
    """
    container = only_container(pod)
    env = dict(base)
    for entry in container.get("env", ()):
        value = _value(entry, pod, lookup)
        if value is not None:
            env[entry["name"]] = places.put_right(_expanded(value, env))
    args = [places.put_right(_expanded(arg, env)) for arg in container.get("args", ())]
    return Command((*program, *args), env)


def _value(entry: Mapping[str, Any], pod: Object, lookup: Lookup) -> str | None:
    source = entry.get("valueFrom")
    if source is None:
        return str(entry.get("value", ""))
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    for key, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        if key in source:
            reference = source[key]
            found = lookup(kind, reference["name"])
            value = data_of(found).get(reference["key"]) if found else None
            if value is None and not reference.get("optional"):
                raise NotReadyError(f"waits for {reference['key']} in {kind.kind} {reference['name']}")
            try:
                return None if value is None else value.decode()
            except UnicodeDecodeError:
                at = f"{reference['key']} in {kind.kind} {reference['name']}"
                raise UnsupportedError(f"{at} is not text in UTF-8") from None
    raise UnsupportedError(f"variable {entry['name']} comes from what only a cluster has")


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """Put in variables as Kubernetes does: ``$(NAME)``, with ``$$(NAME)`` for the text itself."""

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        return env.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)
