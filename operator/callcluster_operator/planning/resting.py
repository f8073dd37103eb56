"""The record of the SFUs' UDP ports: which are held, and which were freed a moment ago and rest.

A port that is given away too soon gets what clients of its last holder still send, and what firewalls on
the way remember of them. The record is an annotation of the SFUs' service account, which is written before
any pod: a port that a pod may have held is never forgotten, wherever the operator dies.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from callcluster_operator.api.times import precise, seconds_of
from callcluster_operator.objects import SERVICE_ACCOUNT
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation

REST_SECONDS = 60

Record = Mapping[int, float | None]
"""By port, until when it rests (Unix time); ``None`` where a pod holds it."""


def read(installation: Installation) -> Record:
    """The record as it was written last; what is unreadable in it is left out."""
    account = installation.child(SERVICE_ACCOUNT, names.workload(installation.name, names.SFU))
    text = (account or {}).get("metadata", {}).get("annotations", {}).get(names.PORTS, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {int(port): seconds_of(until) for port, until in found.items() if port.isdecimal()}


def brought_up_to_date(record: Record, held: Collection[int], now: float) -> Record:
    """The record after pods came and went: what is free rests, and what has rested is out."""
    latest = now + REST_SECONDS
    # Never longer, also where the clock was set back.
    freed = {
        port: latest if until is None else min(until, latest)
        for port, until in record.items()
        if port not in held
    }
    return {
        **{port: until for port, until in freed.items() if until > now},
        **dict.fromkeys(held),
    }


def notes(record: Record) -> dict[str, str]:
    """The record as it is written; nothing where it is empty."""
    told = {str(port): until if until is None else precise(until) for port, until in sorted(record.items())}
    return {names.PORTS: json.dumps(told)} if told else {}
