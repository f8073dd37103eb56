"""CallCluster's SFU as a contestant."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.sfu_load import LineProcess, Load, Stream
from kit.sfu_load_sdp import Side, connection, offer, sent_by, stream
from sfu_contestant import PEERS, SFU_CORE, Contestant, NotRun, Published, pinned

try:
    import callcluster_plane
except ImportError:
    callcluster_plane = None  # type: ignore[assignment]


@dataclass
class _Member:
    peer: int
    side: Side
    published: list[Stream] = field(default_factory=list)
    version: int = 0


class CallCluster(Contestant):
    """One connection a member, for all that it sends and gets; the client offers."""

    title = "CallCluster"

    def __init__(self, process: LineProcess) -> None:
        self._process = process
        self._members: dict[str, _Member] = {}
        self._tracks: list[tuple[str, str, str]] = []
        """Name, kind and owner."""

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[CallCluster]:
        if callcluster_plane is None:
            raise NotRun("the packet plane was not built (it needs cargo)")
        script = Path(__file__).with_name("sfu_ours.py")
        async with LineProcess.start([*pinned(SFU_CORE), sys.executable, str(script)]) as process:
            yield cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def publish(self, load: Load, member: str, kinds: Sequence[str]) -> list[Published]:
        known = self._members[member] = _Member(next(PEERS), Side.new(load.fingerprint))
        known.published = [stream(f"p{number}", kind) for number, kind in enumerate(kinds)]
        answer = await self._offer(member, known, {})
        self._tracks += [(answer["published"][one.mid], one.kind, member) for one in known.published]
        await self._connect(load, known, answer["sdp"], counts_only=False, feedback=True)
        return [Published(known.peer, one.mid, one.kind) for one in known.published]

    async def subscribe(
        self, load: Load, member: str, *, counts_only: bool = False, feedback: bool = True
    ) -> int:
        is_new = member not in self._members
        known = self._members.setdefault(member, _Member(next(PEERS), Side.new(load.fingerprint)))
        others = [(name, kind) for name, kind, owner in self._tracks if owner != member]
        wants = {f"s{number}": track for number, track in enumerate(others)}
        answer = await self._offer(member, known, wants)
        if is_new:
            await self._connect(load, known, answer["sdp"], counts_only=counts_only, feedback=feedback)
        else:
            await load.receive(known.peer, sent_by(answer["sdp"]))
        return known.peer

    async def _offer(
        self, member: str, known: _Member, wants: dict[str, tuple[str, str]]
    ) -> dict[str, Any]:
        known.version += 1
        received = [(mid, kind) for mid, (_, kind) in wants.items()]
        sdp = offer(known.side, known.version, known.published, received)
        names = {mid: name for mid, (name, _) in wants.items()}
        return await self._process.ask("offer", member=member, sdp=sdp, wants=names)

    async def _connect(
        self, load: Load, known: _Member, answer: str, *, counts_only: bool, feedback: bool
    ) -> None:
        received = sent_by(answer)
        await load.connect(
            connection(
                known.peer,
                known.side,
                answer,
                publishes=known.published,
                receives=received,
                counts_only=counts_only,
                feedback=feedback,
            )
        )
