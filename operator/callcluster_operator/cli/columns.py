"""The tables of ``callcluster get``: the columns that the CRDs give ``kubectl``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from callcluster_operator.objects import Object

_READY = '.status.conditions[?(@.type=="Ready")]'
_STEP = re.compile(r'\.(\w+)|\[\?\(@\.(\w+)=="([^"]*)"\)\]')


@dataclass(frozen=True)
class Column:
    """One column, as ``additionalPrinterColumns`` has it."""

    name: str
    path: str
    wide: bool = False


COLUMNS = {
    "callclusters": (
        Column("Ready", f"{_READY}.status"),
        Column("Reason", f"{_READY}.reason"),
        Column("Signaling", ".status.signaling.readyReplicas"),
        Column("TURN", ".status.turn.readyReplicas"),
        Column("SFU", ".status.sfu.readyReplicas", wide=True),
        Column("Rooms", ".status.rooms.occupied"),
        Column("Sessions", ".status.signaling.sessions", wide=True),
        Column("Allocations", ".status.turn.allocations", wide=True),
        Column("Rotation", ".status.credentials.phase", wide=True),
        Column("Next-Rotation", ".status.credentials.nextRotationTime", wide=True),
        Column("URL", ".status.endpoints.signalingURL", wide=True),
        Column("Age", ".metadata.creationTimestamp"),
    ),
    "rooms": (
        Column("Ready", f"{_READY}.status"),
        Column("Reason", f"{_READY}.reason"),
        Column("Participants", ".status.participants"),
        Column("SFU", ".status.sfu.pod", wide=True),
        Column("Cluster", ".spec.clusterRef.name", wide=True),
        Column("Started", ".status.startTime", wide=True),
        Column("Closed", ".status.closeReason", wide=True),
        Column("Age", ".metadata.creationTimestamp"),
    ),
    "pods": (
        Column("Ready", f"{_READY}.status"),
        Column("Reason", f"{_READY}.reason"),
        Column("Age", ".metadata.creationTimestamp"),
    ),
}


def table(plural: str, objects: Sequence[Object], *, wide: bool, now: datetime) -> str:
    """Objects as lines with a heading."""
    columns = [column for column in COLUMNS[plural] if wide or not column.wide]
    rows = [["NAME", *(column.name.upper() for column in columns)]]
    rows += [[obj["metadata"]["name"], *(cell(obj, column, now) for column in columns)] for obj in objects]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def cell(obj: Object, column: Column, now: datetime) -> str:
    """What a column shows of an object."""
    value: object = obj
    for name, key, wanted in _STEP.findall(column.path):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        else:
            items = value if isinstance(value, list) else ()
            value = next((item for item in items if item.get(key) == wanted), None)
    if value is None:
        return ""
    return age(str(value), now) if column.name == "Age" else str(value)


def age(since: str, now: datetime) -> str:
    """Time since a time stamp, as ``kubectl`` writes it."""
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
