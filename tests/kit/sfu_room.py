"""A room's ledger as an SFU sees it: members come and go, and each change is an entry."""

from __future__ import annotations

import json

from callcluster_common.bus import Entry, Head, Occupant, RoomState, make_line

EPOCH = "epoch-1"


def sid_of(name: str) -> str:
    return f"{name}-of-the-tests"


class LedgerOfTests:
    """Numbers entries. Members are named by short names; their sids are longer."""

    def __init__(self, *names: str) -> None:
        self.off = 7
        self.claims = {sid_of(name): f"pod.{name}" for name in names}
        self.blocked: dict[str, str] = {}

    def state(self) -> RoomState:
        occupants = [
            Occupant(sid, b"{}", claim, self.blocked.get(sid, "")) for sid, claim in self.claims.items()
        ]
        return RoomState(EPOCH, self.off, False, occupants)

    def joined(self, name: str) -> Entry:
        sid = sid_of(name)
        self.claims[sid] = f"pod.{name}"
        return self._entry({"kind": "joined", "member": {"sid": sid}}, uid=f"pod.{name}", sender=sid)

    def left(self, name: str, reason: str = "left") -> Entry:
        del self.claims[sid_of(name)]
        return self._entry({"kind": "left", "sid": sid_of(name), "reason": reason})

    def reconnecting(self, name: str) -> Entry:
        self.claims[sid_of(name)] = ""
        return self._entry({"kind": "reconnecting", "sid": sid_of(name)})

    def resumed(self, name: str, claim: str) -> Entry:
        self.claims[sid_of(name)] = claim
        return self._entry({"kind": "resumed", "sid": sid_of(name)}, uid=claim, sender=sid_of(name))

    def block(self, name: str, media: str, *, blocked: bool) -> Entry:
        """Of ``name`` this kind alone is blocked from now on, or nothing."""
        sid = sid_of(name)
        self.blocked[sid] = media if blocked else ""
        return self._entry({"kind": "blocked", "sid": sid, "media": media, "blocked": blocked})

    def ended(self) -> Entry:
        self.claims.clear()
        return self._entry({"kind": "ended"})

    def message(self, name: str) -> Entry:
        return self._line({"t": "msg", "from": sid_of(name), "d": {"body": "AAAA"}})

    def _entry(self, data: dict[str, object], uid: str = "pod.0", sender: str = "") -> Entry:
        return self._line({"t": "ev", "d": data}, uid, sender)

    def _line(self, frame: dict[str, object], uid: str = "pod.0", sender: str = "") -> Entry:
        self.off += 1
        return Entry(self.off, make_line(Head(uid, sender), json.dumps(frame).encode()))
