"""How many sockets a process may have open."""

from __future__ import annotations

import resource

ENOUGH = 65_536


def allow_many() -> None:
    """Raise the soft limit of open files towards the hard one; processes started later inherit it.

    The soft limit is 1,024 on most systems and in many containers, for the sake of programs that use
    select(). At that limit asyncio can't accept, and writes a record for each place in the backlog.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
