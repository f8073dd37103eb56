from callcluster_common.bus import HISTORY_BYTES, HISTORY_ENTRIES, Entry, Head, Person, Ticket, make_line
from callcluster_common.bus.ledger import Ledger

A, B, C = "a" * 16, "b" * 16, "c" * 16


def furnished() -> Ledger:
    """A ledger with three members in epoch ``e1``."""
    ledger = Ledger()
    for sid in (A, B, C):
        line = make_line(Head(f"p.{sid}", sid), b"{}")
        person = Person(f"user-{sid}", f"page-{sid}", "")
        ledger.join(Ticket(sid, f"p.{sid}", person, b"{}", line, 9, False, "e1", "p.0", 60_000), 0)
    return ledger


def say(ledger: Ledger, to: str = "", size: int = 10) -> Entry:
    line = make_line(Head(f"p.{ledger.off}", A, to), b"x" * size)
    entry = ledger.publish("e1", A, f"p.{A}", line, b"", 0)
    assert isinstance(entry, Entry)
    return entry


def test_what_is_blocked_of_a_member_ends_with_its_membership_alone() -> None:
    ledger = furnished()

    def change(what: str) -> dict[str, str]:
        assert isinstance(ledger.publish("e1", A, f"p.{A}", b"[]\n{}", what.encode(), 0), Entry)
        return {one.sid: one.blocked for one in ledger.state().occupants if one.blocked}

    assert change(f"B1video {B}") == {B: "video"}
    assert change(f"B1audio {B}") == change(f"B1audio {B}") == {B: "audio video"}
    assert change(f"B1audio {C}") == {B: "audio video", C: "audio"}
    assert change(f"B0video {B}") == {B: "audio", C: "audio"}
    ledger.remove(B, "", b"[]\n{}", 0, 0)
    assert change(f"B1audio {B}") == {C: "audio"}, "who is out is not remembered"


def test_who_comes_back_gets_what_was_meant_for_it_and_for_all_alone() -> None:
    ledger = furnished()
    since = ledger.off
    entries = [say(ledger, to) for to in ("", B, C, "", C)]
    found = ledger.attach(B, "p.9", 1, make_line(Head("p.9", B), b"{}"), "e1", since, 0)
    assert found is not None
    back, _ = found
    assert back.recovered
    assert back.missed == [entries[0], entries[1], entries[3]]


def test_history_is_bounded_in_entries() -> None:
    ledger = furnished()
    for _ in range(2 * HISTORY_ENTRIES):
        say(ledger)
    assert len(ledger.entries) == HISTORY_ENTRIES


def test_history_is_bounded_in_bytes_and_a_gap_is_told_as_one() -> None:
    ledger = furnished()
    since = ledger.off
    for _ in range(200):
        say(ledger, size=60_000)
    held = sum(len(kept.entry.line) for kept in ledger.entries)
    assert HISTORY_BYTES - 70_000 < held <= HISTORY_BYTES
    found = ledger.attach(B, "p.9", 1, make_line(Head("p.9", B), b"{}"), "e1", since, 0)
    assert found is not None
    assert not found[0].recovered
    assert ledger.history(ledger.off - 10, 0).entries is not None
