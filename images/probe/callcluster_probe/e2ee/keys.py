"""All keys of one member of one call: whom it trusts, what it gives them, what it holds of theirs.

A state machine without I/O: events and time come in, frames for the signaling server come out of ``drain``.
Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from callcluster_common.messages.client import (
    BundleData,
    BundleRefresh,
    KeyAck,
    KeyEntry,
    KeyIdData,
    KeyRequest,
    KeySend,
    KeySendData,
)
from callcluster_common.messages.server import LeftReason
from callcluster_common.messages.types import MAX_KEY_ENTRIES, Bundle, Member, ToMember

from callcluster_probe.e2ee import bundle, envelope
from callcluster_probe.e2ee.bundle import Identity, Peer
from callcluster_probe.e2ee.encode import CryptoError, unb64
from callcluster_probe.e2ee.frames import SOURCES, Source
from callcluster_probe.e2ee.keyring import Keyring, UnknownKey
from callcluster_probe.e2ee.room_secret import RoomSecret
from callcluster_probe.e2ee.security_code import security_code
from callcluster_probe.e2ee.sender_keys import SenderKeys
from callcluster_probe.e2ee.sframe import split_key_id

REQUEST_EVERY_S = 1.0
ANSWER_EVERY_S = 0.5
"""Below the interval of requests, so that a punctual asker is always answered."""
FIRST_KEY_S = 2.0
"""A member that gave no key within this time is asked for one."""
RENEWAL_S = 4.0
"""So is one that gave no new key within this time after a leave: two seconds, and more for the news."""
VOUCHED_S = 8.0
"""And one that gave the old key then, as it may have heard of the leave later."""
EARLY_ENVELOPES = 64
BUNDLE_AFTER_S = 36_000.0
BUNDLE_SPREAD_S = 7_200
"""The own bundle is made anew well before its end, and not at once for all who joined together."""
BUNDLE_RETRY_S = 600.0
IDENTITY_BYTES = 32
ANY_KEY = 0
"""Key id of a request from who knows none."""

KeyFrame = KeySend | KeyAck | KeyRequest | BundleRefresh


@dataclass(slots=True)
class FrameCounts:
    """Sealed frames of one track of one sender."""

    received: int = 0
    opened: int = 0
    early: int = 0
    """Frames whose key was never there, or not yet: keys travel on a way of their own."""

    @property
    def failed(self) -> int:
        """Frames that did not open though their key was there once."""
        return self.received - self.opened - self.early


@dataclass(slots=True)
class Remote:
    """Another member; ``peer`` is absent while it is not trusted."""

    sid: str
    peer: Peer | None
    shown: bytes | None
    """Its identity key as the roster has it, trusted or not; absent where that is no key."""
    keyring: Keyring
    ask_from: float
    """When a key of it should have come."""
    counts: dict[Source, FrameCounts] = field(
        default_factory=lambda: {source: FrameCounts() for source in SOURCES}
    )
    generation: int | None = None
    """Of its latest key."""
    outdated: bool = False
    """Whether someone held that who is gone."""
    requested: float = float("-inf")
    answered: float = float("-inf")

    def gave(self, generation: int, now: float) -> None:
        """A key of it arrived."""
        self.outdated = self.outdated and generation == self.generation
        self.generation = generation
        self.ask_from = now + VOUCHED_S if self.outdated else math.inf

    def has_to_renew(self, now: float) -> None:
        """Someone left who held its key: without a new one the present one does not live long."""
        self.keyring.outdate(now)
        if self.generation is not None:
            self.outdated = True
            self.ask_from = now + RENEWAL_S


@dataclass(slots=True)
class _Pin:
    """What stays true of a session id for all its life, also after it left."""

    keys: tuple[bytes, bytes]
    last_seq: int = 0


class CallKeys:
    """Keys of the session ``sid`` in ``room``. ``epoch`` is Unix time, in seconds, where ``now`` is 0."""

    def __init__(
        self, identity: Identity, room: str, sid: str, secret: RoomSecret | None, epoch: float
    ) -> None:
        self.room = room
        self.sid = sid
        self.own = SenderKeys(sid)
        self.remotes: dict[str, Remote] = {}
        self.refused = 0
        """Envelopes that failed a check."""
        self._identity = identity
        self._secret = secret
        self._epoch = epoch
        self._pins: dict[str, _Pin] = {}
        self._keyrings: dict[
            str, Keyring
        ] = {}  # for the life of each sid, as the replay windows are in them
        self._early: list[tuple[str, str]] = []
        self._seq = 0  # one for all recipients, so that it rises for each of them
        self._outbox: list[KeyFrame] = []
        self._bundle_due = float("inf")

    def drain(self) -> list[KeyFrame]:
        """Frames to send, in order; each is handed out once."""
        frames, self._outbox = self._outbox, []
        return frames

    def bundle(self, now: float) -> Bundle:
        """This member's own bundle for this session, good for 23 hours; the roster gets it next."""
        self.bundle_taken(now)
        return self._bundle(now)

    def bundle_taken(self, now: float) -> None:
        """The roster has a new bundle of this member: ``tick`` makes the next one in some hours."""
        self._bundle_due = now + BUNDLE_AFTER_S + secrets.randbelow(BUNDLE_SPREAD_S + 1)

    def enter(self, members: Iterable[Member], now: float) -> None:
        """This member joined; ``members`` were there before it."""
        for member in members:
            self._add(member, now)
        self._renew(now)

    def resync(self, members: Iterable[Member], now: float) -> None:
        """A snapshot replaced the roster, after a loss that no replay could mend."""
        present = {member.sid: member for member in members if member.sid != self.sid}
        for sid in [sid for sid in self.remotes if sid not in present]:
            self.left(sid, "timeout", now)
        for member in present.values():
            if member.sid in self.remotes and member.bundle:
                self.renewed(member.sid, member.bundle, now)
            self.joined(member, now)

    def joined(self, member: Member, now: float) -> None:
        """Someone joined: what it gets opens nothing that was sent before."""
        if member.sid in self.remotes or member.sid == self.sid:
            return
        remote = self._add(member, now)
        if self.trusted(remote.sid, now):
            self._greet(remote, now)

    def left(self, sid: str, reason: LeftReason | None, now: float) -> None:
        """Someone left. One that was never trusted held no key, and takes none away."""
        remote = self.remotes.pop(sid, None)
        self.own.forget(sid)
        if remote is None or remote.peer is None:
            return
        remote.keyring.forget()
        self._outdate(now)
        if reason == "kicked":
            self._renew(now)
        else:
            self.own.renew_soon(now)

    def renewed(self, sid: str, renewal: Bundle, now: float) -> None:
        """A member that is here extends its bundle, or tries to."""
        remote = self.remotes.get(sid)
        if remote is None:
            return
        remote.shown = _shown(renewal) or remote.shown
        peer = self._verify(sid, renewal, now)
        if peer and (remote.peer is None or peer.exp > remote.peer.exp):
            trusted = remote.peer is not None
            remote.peer = peer
            if not trusted:
                remote.ask_from = now + FIRST_KEY_S
                self._greet(remote, now)

    def deliver(self, sender: str, body: str, now: float) -> None:
        """An envelope came: keep its key and acknowledge it, or count it as refused."""
        remote = self.remotes.get(sender)
        if remote is None:
            # Roster events travel on another lane, and the sender's may still be on its way.
            self._early.append((sender, body))
            if len(self._early) > EARLY_ENVELOPES:
                del self._early[0]
                self.refused += 1
            return
        peer = remote.peer if self.trusted(sender, now) else None
        pin = self._pins.get(sender)
        last_seq = pin.last_seq if pin else 0
        try:
            key = envelope.open_(self._identity, self.room, peer, self.sid, body, last_seq, self._secret)
            if pin:
                pin.last_seq = key.seq
            remote.keyring.install(key.kid, key.base, now)
        except CryptoError:
            self.refused += 1
            return
        remote.gave(split_key_id(key.kid)[0], now)
        self._outbox.append(KeyAck(to=ToMember(sender), d=KeyIdData(key.kid)))

    def acked(self, sender: str, kid: int) -> None:
        """``sender`` has this member's key."""
        if sender in self.remotes:
            self.own.acked(sender, kid)

    def requested(self, sender: str, now: float) -> None:
        """``sender`` lacks a key: it gets the newest one, which is never older than what it may hold."""
        remote = self.remotes.get(sender)
        if remote and self.trusted(sender, now) and now - remote.answered >= ANSWER_EVERY_S:
            remote.answered = now
            self._give([remote], now)

    def tick(self, now: float) -> None:
        """Let time do its part: end trust, make bundle and keys anew, activate keys."""
        self._expire(now)
        if now >= self._bundle_due:
            self._bundle_due = now + BUNDLE_RETRY_S
            self._outbox.append(BundleRefresh(d=BundleData(self._bundle(now))))
        if self.own.due(now):
            self._renew(now)
        self.own.tick(now)
        for remote in self._awaited(now):
            if now >= max(remote.ask_from, remote.requested + REQUEST_EVERY_S):
                self._ask(remote, ANY_KEY, now)

    def next_deadline(self, now: float) -> float:
        """When ``tick`` should come at the latest; infinite where nothing will be due."""
        asks = [max(r.ask_from, r.requested + REQUEST_EVERY_S) for r in self._awaited(now)]
        ends = [remote.peer.exp - self._epoch for remote in self.remotes.values() if remote.peer]
        own = self.own.next_deadline()
        return min(
            [self._bundle_due, *asks, *ends] if own is None else [self._bundle_due, own, *asks, *ends]
        )

    def seal(self, source: Source, frame: bytes) -> bytes | None:
        """The sealed frame, or ``None``: without a key a frame is dropped."""
        return self.own.seal(source, frame)

    def open(self, sender: str, source: Source, frame: bytes, now: float) -> bytes | None:
        """The plain frame of ``sender``, or ``None``: what does not open is dropped and counted."""
        remote = self.remotes.get(sender)
        if remote is None:
            return None
        counts = remote.counts[source]
        counts.received += 1
        try:
            plain = remote.keyring.open(source, frame, now)
        except UnknownKey as unknown:
            counts.early += unknown.early
            if self.trusted(sender, now) and now - remote.requested >= REQUEST_EVERY_S:
                self._ask(remote, unknown.kid, now)
            return None
        except CryptoError:
            return None
        counts.opened += 1
        return plain

    def trusted(self, sid: str, now: float) -> bool:
        """Whether the bundle of ``sid`` verified and has not expired."""
        remote = self.remotes.get(sid)
        return bool(remote and remote.peer and self._epoch + now < remote.peer.exp)

    def security_code(self) -> str:
        """The code over the identity keys that the roster shows, of untrusted members, too, and its own."""
        others = [remote.shown for remote in self.remotes.values() if remote.shown]
        return security_code(self.room, [self._identity.ik.public_key().public_bytes_raw(), *others])

    def _bundle(self, now: float) -> Bundle:
        return self._identity.bundle(self.room, self.sid, self._epoch + now, self._secret)

    def _add(self, member: Member, now: float) -> Remote:
        sid = member.sid
        peer = self._verify(sid, member.bundle, now) if member.bundle else None
        keyring = self._keyrings.setdefault(sid, Keyring(sid))
        remote = self.remotes[sid] = Remote(sid, peer, _shown(member.bundle), keyring, now + FIRST_KEY_S)
        early = [body for sender, body in self._early if sender == sid]
        self._early = [(sender, body) for sender, body in self._early if sender != sid]
        for body in early:
            self.deliver(sid, body, now)
        return remote

    def _verify(self, sid: str, shown: Bundle, now: float) -> Peer | None:
        """The member behind a good bundle. Its first keys are pinned for the life of its session."""
        try:
            peer = bundle.verify(shown, self.room, sid, self._epoch + now, self._secret)
        except CryptoError:
            return None
        pin = self._pins.setdefault(sid, _Pin((peer.ik, peer.ek)))
        return peer if pin.keys == (peer.ik, peer.ek) else None

    def _greet(self, remote: Remote, now: float) -> None:
        """Give a key to someone who is trusted from now on, and who must not open what went before."""
        if self.own.step(now, remote.sid):
            self._give([remote], now)
        else:
            self._renew(now)

    def _expire(self, now: float) -> None:
        """Part with members whose bundle has run out, as if they had left; they stay in the roster."""
        for remote in self.remotes.values():
            if remote.peer and not self.trusted(remote.sid, now):
                remote.peer, remote.generation = None, None
                remote.keyring.forget()
                self.own.forget(remote.sid)
                self.own.renew_soon(now)
                self._outdate(now)

    def _outdate(self, now: float) -> None:
        """Someone is trusted no more who held all keys."""
        for remote in self.remotes.values():
            if remote.peer:
                remote.has_to_renew(now)

    def _awaited(self, now: float) -> list[Remote]:
        return [r for r in self.remotes.values() if r.ask_from < math.inf and self.trusted(r.sid, now)]

    def _ask(self, remote: Remote, kid: int, now: float) -> None:
        remote.requested = now
        self._outbox.append(KeyRequest(to=ToMember(remote.sid), d=KeyIdData(kid)))

    def _renew(self, now: float) -> None:
        remotes = [remote for remote in self.remotes.values() if self.trusted(remote.sid, now)]
        self.own.renew(now, [remote.sid for remote in remotes])
        self._give(remotes, now)

    def _give(self, remotes: list[Remote], now: float) -> None:
        newest = self.own.newest
        if newest is None:
            return
        kid, base = newest
        entries = []
        for remote in remotes:
            assert remote.peer is not None
            self._seq += 1
            key = envelope.MediaKey(kid, base, self._seq)
            ts = int((self._epoch + now) * 1000)
            try:
                body = envelope.seal(
                    self._identity, self.room, self.sid, remote.peer, key, ts, self._secret
                )
            except CryptoError:  # its public key is of small order: nothing can be sealed to it
                self.own.forget(remote.sid)
                continue
            entries.append(KeyEntry(remote.sid, body))
        for start in range(0, len(entries), MAX_KEY_ENTRIES):
            chunk = entries[start : start + MAX_KEY_ENTRIES]
            self._outbox.append(KeySend(d=KeySendData(chunk)))


def _shown(shown: Bundle | None) -> bytes | None:
    try:
        ik = unb64(shown.ik) if shown else b""
    except CryptoError:
        return None
    return ik if len(ik) == IDENTITY_BYTES else None
