import json
from collections import Counter
from typing import Any

from callcluster_common.messages.types import ERRORS, Member
from callcluster_signaling import effects as do
from callcluster_signaling.metrics import Counts
from callcluster_signaling.session import Policy, Session
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.sig_client import MODERATOR, SECRET, token

BEARER = token("*", g=MODERATOR)
OTHER = {"sid": "o" * 16}

BODIES: list[dict[str, Any]] = [
    {"t": "ping", "d": {"ts": 1}},
    {"t": "offer", "to": OTHER, "d": {"sdp": "x"}},
    {"t": "ice", "to": OTHER, "d": {}},
    {"t": "msg", "to": "room", "d": {"body": "x"}},
    {"t": "msg", "to": "room", "d": {"body": "x"}},
    {"t": "key.send", "d": {"entries": [{"to": "o" * 16, "body": "x"}]}},
    {"t": "state", "d": {"audio": True}},
    {"t": "join", "d": {"room": "r2"}},
    {"t": "mod.lock", "d": {"locked": True}},
    {"t": "mod.kick", "d": {"sid": "o" * 16}},
    {"t": "dance", "d": {}},
    {"t": "offer", "to": "room", "d": {"sdp": "x"}},
    {"t": "offer", "d": 7},
    {"t": "offer", "to": "sfu", "d": {"sdp": "x", "route": "r", "seq": 1, "wants": {}}},
    {"t": "offer", "to": "sfu", "d": {"sdp": "x"}},
    {"t": "layout", "d": {"wishes": {}}},
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(BODIES), st.integers(0, 8), st.sampled_from(["ok", "error", "busy", "later"])
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS)
def test_each_request_is_answered_and_acted_on_at_most_once_unless_it_may_be_tried_again(
    steps: list[tuple[dict[str, Any], int, str]],
) -> None:
    session = Session(Policy(SECRET, False, 60), 0.0, Counts())
    session.receive(json.dumps({"t": "hello", "d": {"cid": "c" * 16, "token": BEARER}}), 0.0)
    session.opened(None)
    session.joined("r1", Member(session.sid))
    replies: Counter[str] = Counter()
    acted: Counter[str] = Counter()
    open_requests: set[str] = set()
    again: set[str] = set()
    asked: Counter[str] = Counter()

    def note(effects: list[do.Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, do.Send)
            frame = json.loads(effect.data)
            replies[frame["re"]] += 1
            if frame["t"] == "error" and ERRORS[frame["d"]["code"]].retryable:
                again.add(frame["re"])

    for number, (body, name, outcome) in enumerate(steps):
        re = f"{json.dumps(body)[:40]}{name}"[:64]
        was_open = re in open_requests
        effects = session.receive(json.dumps({**body, "id": re}), float(number))
        asked[re] += not was_open
        if effects and isinstance(effects[0], do.Send):
            note(effects)
            continue
        if was_open:
            assert effects == []
            continue
        assert len(effects) == 1
        if re in again:
            again.discard(re)
        else:
            acted[re] += 1
        open_requests.add(re)
        if outcome == "later":
            continue
        open_requests.discard(re)
        note(
            session.succeed(re)
            if outcome == "ok"
            else session.fail(re, "no_such_member" if outcome == "error" else "unavailable")
        )
    for re in sorted(open_requests):
        note(session.succeed(re))
    assert replies == asked
    assert all(count == 1 for count in acted.values())
