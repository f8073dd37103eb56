"""No line that speaks of a client leaves the reader, whatever the client put into it."""

from __future__ import annotations

import dataclasses

from callcluster_turn.coturn_log import TROUBLE, Reader
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = {name for _, name in TROUBLE} | {"other"}
TEXTS = st.binary(max_size=60) | st.sampled_from(
    [
        b"ERROR Wrong address format: 198.51.100.7",
        b"\nCONFIG ERROR canary\n",
        b"processed, error 401 canary",
        b": usage: canary, rp=1, rb=2, sp=3, sb=4",
        b"WARNING certificate canary",
        b"canary listener opened on canary",
    ]
)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=8))
def test_only_numbers_and_fixed_words_come_out(parts: list[bytes]) -> None:
    reader = Reader()
    reader.feed(b"IPv4. UDP listener opened on: 127.0.0.1:3478\n")

    for event in reader.feed(b"user <" + b"> ".join(parts) + b">\n"):
        for value in dataclasses.astuple(event):
            if isinstance(value, str):
                assert value in KINDS | {"client", "peer"} or (value.isdecimal() and len(value) == 3)
