"""Our SFU as one process without signaling: rooms and the packet plane, spoken to by JSON lines on stdin.

The one request, {"op": "offer", "member": name, "sdp": text, "wants": {mid: track}}, is answered by
{"sdp": text, "published": {mid: track}}.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Iterable
from typing import Any

from callcluster_sfu.health import Credentials
from callcluster_sfu.identity import make
from callcluster_sfu.negotiation import HostAddress, Numbers, Policy
from callcluster_sfu.plane import Disconnected, EncodingLive, Failed, News, PacketPlane, Refused
from callcluster_sfu.room import Answered, Declined, Do, Effect, Room, RoomLimits
from callcluster_sfu.sdp.values import IceCredentials

HOST = "127.0.0.1"
BUFFER_BYTES = 8 << 20
MEMBERS = 1000
LONGEST_LINE = 1 << 22


class Sfu:
    """One room and the plane behind it."""

    def __init__(self) -> None:
        identity = make()
        self._plane = PacketPlane(
            HOST,
            0,
            identity=identity,
            health=Credentials(),
            buffer_bytes=BUFFER_BYTES,
            max_peers=MEMBERS,
            on_news=self._hear,
        )
        policy = Policy((HostAddress(HOST, self._plane.port),), identity.fingerprint, max_tracks=MEMBERS)
        self._room = Room(policy, Numbers(secrets.randbits(31)), RoomLimits(MEMBERS, 20 * MEMBERS))

    def offer(self, member: str, sdp: str, wants: dict[str, str]) -> dict[str, Any]:
        """Admit who is new, and answer."""
        self._do(self._room.admit(member, secrets.randbits(60)))
        fresh = IceCredentials(secrets.token_hex(4), secrets.token_hex(16))
        return self._do(self._room.offered(member, sdp, wants, fresh))

    def _hear(self, news: News) -> None:
        match news:
            case EncodingLive(track, encoding):
                self._do(self._room.live(track, encoding))
            case Disconnected(peer, why):
                print(f"a peer was lost: {why}", file=sys.stderr)
                self._do(self._room.disconnected(peer))
            case Refused(command, why):
                print(f"the plane refused {type(command).__name__}: {why}", file=sys.stderr)
            case Failed():
                sys.exit("the plane failed")
            case _:
                pass

    def _do(self, effects: Iterable[Effect]) -> dict[str, Any]:
        said: dict[str, Any] = {"error": "no answer"}
        for effect in effects:
            match effect:
                case Do(command):
                    self._plane.carry_out(command)
                case Answered():
                    said = {"sdp": effect.sdp, "published": dict(effect.published)}
                case Declined():
                    said = {"error": effect.reason}
                case _:
                    pass  # announcements: the driver knows who publishes
        return said


async def main() -> None:
    """Answer until the input ends."""
    sfu = Sfu()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        request = json.loads(line)
        print(json.dumps(sfu.offer(request["member"], request["sdp"], request["wants"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
