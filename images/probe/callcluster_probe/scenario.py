"""What a probe is to do, and what all its scenarios share."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass

from callcluster_probe.member import MemberSettings
from callcluster_probe.performer import Performer
from callcluster_probe.signaling.client import SignalingError
from callcluster_probe.token import mint
from callcluster_probe.transport import TurnTransport

POLL_S = 0.02


class ProbeError(Exception):
    """The call failed; the message is the one line that says why."""


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What to call through, and how."""

    url: str
    relay: bool = False
    turn_transport: TurnTransport | None = None
    duration: float = 5.0
    """Seconds of media that both sides must have after the first frame."""
    timeout: float = 30.0
    """Seconds after which the call has failed, whatever the reason."""
    room: str | None = None
    secret: bytes | None = None
    token: str | None = None
    jwt_secret: str | None = None
    members: int = 2
    """Of the call; from three on it goes through the SFU."""


class Cast:
    """The members of one call, as settings."""

    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._room = settings.room or f"probe-{secrets.token_hex(8)}"
        self._secret = settings.secret or os.urandom(32)

    def member(self, subject: str) -> MemberSettings:
        """One who has the room secret."""
        return self._member(subject, self._secret)

    def stranger(self) -> MemberSettings:
        """One who has another room secret."""
        return self._member("stranger", os.urandom(32))

    def _member(self, subject: str, secret: bytes) -> MemberSettings:
        settings = self._settings
        token = settings.token
        if settings.jwt_secret is not None:
            token = mint(settings.jwt_secret, self._room, f"probe-{subject}", time.time())
        return MemberSettings(
            urls=(settings.url,),
            room=self._room,
            secret=secret,
            token=token,
            name=f"probe {subject}",
            relay_only=settings.relay,
            turn_transport=settings.turn_transport,
        )


async def enter(performer: Performer, settings: ProbeSettings, *, is_first: bool) -> None:
    """Let one who has the room secret join. The first one finds out whether there is a server.

    Raises:
        ProbeError: it could not, or relays are wanted and there is none.
    """
    try:
        await performer.join(settings.timeout, retry=not is_first)
    except SignalingError as error:
        raise ProbeError(f"signaling at {settings.url}: {error}") from None
    if settings.relay and performer.member.ice.turn_url() is None:
        over = f" over {settings.turn_transport}" if settings.turn_transport else ""
        raise ProbeError(f"relay wanted but the server offers no TURN server{over}")
