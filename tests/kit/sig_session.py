"""Drives one signaling session by hand: frames in, effects out."""

from __future__ import annotations

import json
from typing import Any

from callcluster_common.messages.types import Member
from callcluster_signaling import effects as do
from callcluster_signaling.metrics import Counts
from callcluster_signaling.session import Policy, Session

from kit.sig_client import SECRET, token


def frame(kind: str, data: dict[str, Any] | None = None, **rest: Any) -> str:
    return json.dumps({"t": kind, "d": data or {}, **rest})


def fresh(guests: bool = False, offered: str | None = None) -> Session:
    return Session(Policy(SECRET, guests, 60), 0.0, Counts(), offered)


def opened(**claims: Any) -> Session:
    session = fresh()
    (effect,) = session.receive(
        frame("hello", {"cid": "c" * 16, "token": token("r*", **claims)}, id="h"), 0.0
    )
    assert isinstance(effect, do.Open)
    session.opened("h")
    return session


def joined(**claims: Any) -> Session:
    session = opened(**claims)
    (effect,) = session.receive(frame("join", {"room": "r1"}, id="j"), 0.0)
    assert isinstance(effect, do.Join)
    session.joined("r1", Member(session.sid))
    session.succeed("j")
    return session


def sent(effects: list[do.Effect]) -> dict[str, Any]:
    (effect,) = effects
    assert isinstance(effect, do.Send)
    found: dict[str, Any] = json.loads(effect.data)
    return found


def error(effects: list[do.Effect]) -> str:
    found = sent(effects)
    assert found["t"] == "error"
    return str(found["d"]["code"])


def closed(effects: list[do.Effect]) -> int:
    (effect,) = effects
    assert isinstance(effect, do.Close)
    return effect.code


def resume_frame(**rest: Any) -> str:
    made = f"{'s' * 16}.{'x' * 43}"
    return frame("resume", {"resume_token": made, "cid": "c" * 16, "attempt": 1}, **rest)
