"""How many relay threads this container can use: coturn alone would start one for each core of the node."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable(cores: int, quota: str) -> int:
    """Whole CPUs, at least one, of ``cores`` under a cgroup v2 quota: ``150000 100000``, ``max 100000``."""
    limit, _, period = quota.partition(" ")
    if limit.isdecimal() and period.strip().isdecimal():
        return max(1, min(cores, math.ceil(int(limit) / int(period))))
    return cores


def of_this_process() -> int:
    """CPUs that the scheduler and the cgroup leave to this process."""
    quota = CGROUP_QUOTA.read_text() if CGROUP_QUOTA.exists() else ""
    return usable(len(os.sched_getaffinity(0)), quota)
