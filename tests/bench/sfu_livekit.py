"""LiveKit as a contestant: built once from its Go module, into .cache.

Configured as its documentation advises for performance: one UDP port for each core, batched writes.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit.eventually import eventually
from kit.ports import free_ports
from kit.sfu_load import ROOT, Load, LoadError
from kit.sfu_load_sdp import Side, answer, connection, offer, sent_by, stream
from sfu_contestant import PEERS, SFU_CORE, Contestant, NotRun, Published, in_time, pinned
from sfu_livekit_signal import Signal, token

VERSION = "v1.13.5"
MODULE = "github.com/livekit/livekit-server/cmd/server"
HOME = ROOT / ".cache" / "livekit" / VERSION
HOST = "127.0.0.1"
KEY = "bench"
CONFIGURATION = """
port: {port}
bind_addresses: ["{host}"]
rtc:
  tcp_port: 0
  udp_port: {udp_port}
  node_ip: {host}
  use_external_ip: false
  enable_loopback_candidate: true
  ips:
    includes: ["{host}/32"]
  batch_io:
    batch_size: 128
    max_flush_interval: 2ms
keys:
  {key}: {secret}
logging:
  level: error
  pion_level: error
"""


@dataclass
class _Member:
    name: str
    side: Side
    down: Side
    """Its end of the connection that it receives on, which the server offers."""
    peer: int
    signal: Signal
    version: int = 0
    tracks: list[str] = field(default_factory=list)


class LiveKit(Contestant):
    """Two connections for each member: it offers the one to send on, LiveKit the one to receive on."""

    title = "LiveKit"

    def __init__(
        self, process: subprocess.Popen[bytes], stack: AsyncExitStack, url: str, address: str, secret: str
    ) -> None:
        self._process = process
        self._stack = stack
        self._url = url
        self._address = address
        self._secret = secret
        self._members: dict[str, _Member] = {}

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[LiveKit]:
        program = build()
        port, udp_port = free_ports(2)
        secret = secrets.token_hex(32)
        with tempfile.TemporaryDirectory() as directory:
            config = Path(directory) / "livekit.yaml"
            config.write_text(
                CONFIGURATION.format(host=HOST, port=port, udp_port=udp_port, key=KEY, secret=secret)
            )
            argv = [*pinned(SFU_CORE), str(program), "--config", str(config)]
            with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    await _listening(port)
                    async with AsyncExitStack() as stack:
                        yield cls(process, stack, f"ws://{HOST}:{port}", f"{HOST}:{udp_port}", secret)
                finally:
                    process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def publish(self, load: Load, member: str, kinds: Sequence[str]) -> list[Published]:
        known = await self._join(load, member, counts_only=False, feedback=True)
        published = [stream(f"{number}", kind) for number, kind in enumerate(kinds)]
        for one in published:
            known.tracks.append(await known.signal.publish(one.mid, one.kind))
        answered = await known.signal.offer(offer(known.side, 1, published, ()))
        peer = next(PEERS)
        await load.connect(
            connection(peer, known.side, answered, address=self._address, publishes=published)
        )
        return [Published(peer, one.mid, one.kind) for one in published]

    async def subscribe(
        self, load: Load, member: str, *, counts_only: bool = False, feedback: bool = True
    ) -> int:
        known = self._members.get(member) or await self._join(
            load, member, counts_only=counts_only, feedback=feedback
        )
        others = [track for other in self._members.values() if other is not known for track in other.tracks]
        await known.signal.subscribe(others)
        return known.peer

    async def _join(self, load: Load, member: str, *, counts_only: bool, feedback: bool) -> _Member:
        connected = asyncio.Event()

        async def answer_offer(offered: str) -> str:
            known = self._members[member]
            if connected.is_set():
                await load.receive(known.peer, sent_by(offered))
            else:
                await load.connect(
                    connection(
                        known.peer,
                        known.down,
                        offered,
                        controlling=False,
                        address=self._address,
                        receives=sent_by(offered),
                        data=True,
                        counts_only=counts_only,
                        feedback=feedback,
                    )
                )
                connected.set()
            known.version += 1
            return answer(known.down, known.version, offered)

        signal = await self._stack.enter_async_context(
            Signal.start(self._url, token(KEY, self._secret, member), answer_offer)
        )
        sides = (Side.new(load.fingerprint), Side.new(load.fingerprint))
        self._members[member] = known = _Member(member, *sides, next(PEERS), signal)
        await in_time("LiveKit's first offer", connected.wait())
        return known


def build() -> Path:
    """The server's program; the first time takes minutes.

    Raises:
        NotRun: it can't be built here.
    """
    program = HOME / "livekit-server"
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise NotRun("LiveKit is built from its Go module, and go is not installed")
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "go.mod").unlink(missing_ok=True)
    for argv in (
        ["mod", "init", "bench"],
        ["get", "-tool", f"{MODULE}@{VERSION}"],
        ["build", "-o", program.name, MODULE],
    ):
        done = subprocess.run(["go", *argv], cwd=HOME, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["go failed"])[-1]
            raise NotRun(f"LiveKit can't be built: {reason}")
    return program


async def _listening(port: int) -> None:
    async def check() -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(check)
    except AssertionError:
        raise LoadError("LiveKit does not listen") from None
