from callcluster_common.bus import Entry
from callcluster_sfu.rooms.roster import Blocked, Came, Change, Gone, Roster
from kit.sfu_room import EPOCH, LedgerOfTests, sid_of

ANN, BOB, CID = sid_of("ann"), sid_of("bob"), sid_of("cid")


class Following:
    """A roster that has loaded a ledger's state."""

    def __init__(self, *names: str) -> None:
        self.ledger = LedgerOfTests(*names)
        self.roster = Roster()
        self.roster.load(self.ledger.state())

    def push(self, entry: Entry, epoch: str = EPOCH) -> list[Change]:
        return self.roster.receive(epoch, entry.off, entry.line)


def test_a_state_says_who_is_in_and_by_which_socket() -> None:
    roster, ledger = Roster(), LedgerOfTests("ann", "bob")
    ledger.reconnecting("bob")
    assert roster.load(ledger.state()) == [Came(ANN), Came(BOB)]
    assert roster.claims == {ANN: "pod.ann", BOB: ""}


def test_members_come_move_and_go() -> None:
    following = Following("ann")
    ledger, roster = following.ledger, following.roster
    assert following.push(ledger.joined("bob")) == [Came(BOB)]
    assert following.push(ledger.reconnecting("bob")) == []
    assert roster.claims[BOB] == ""
    assert following.push(ledger.resumed("bob", "other.9")) == [Came(BOB)]
    assert roster.claims[BOB] == "other.9"
    assert following.push(ledger.left("bob", "kicked")) == [Gone(BOB)]
    assert following.push(ledger.message("ann")) == []
    assert roster.claims == {ANN: "pod.ann"}
    assert following.push(ledger.ended()) == [Gone(ANN)]
    assert roster.off == ledger.off
    assert not roster.behind


def test_an_entry_that_comes_early_waits_for_the_one_before_it() -> None:
    following = Following("ann")
    bob, cid = following.ledger.joined("bob"), following.ledger.joined("cid")
    assert following.push(cid) == []
    assert following.roster.behind
    assert following.push(bob) == [Came(BOB), Came(CID)]
    assert not following.roster.behind
    assert following.push(bob) == []


def test_the_history_fills_a_gap_that_nothing_else_would() -> None:
    following = Following("ann")
    entries = [following.ledger.joined("bob"), following.ledger.joined("cid")]
    following.push(entries[1])
    assert following.roster.catch_up(entries) == [Came(BOB), Came(CID)]
    assert not following.roster.behind


def test_entries_from_before_the_state_was_loaded_are_not_lost() -> None:
    ledger, roster = LedgerOfTests("ann"), Roster()
    old = ledger.joined("bob")
    state = ledger.state()
    new = ledger.joined("cid")
    for entry in (old, new):
        assert roster.receive(EPOCH, entry.off, entry.line) == []
    assert roster.load(state) == [Came(ANN), Came(BOB), Came(CID)]
    assert not roster.behind


def test_an_entry_of_another_epoch_asks_for_a_new_state() -> None:
    following = Following("ann", "bob")
    entry = following.ledger.left("bob")
    assert following.push(entry, epoch="epoch-2") == []
    assert following.roster.lost
    assert BOB in following.roster.claims
    state = following.ledger.state()._replace(epoch="epoch-2", off=1)
    assert following.roster.load(state) == [Gone(BOB)]
    assert not following.roster.behind


def test_a_state_tells_apart_who_is_new_and_who_has_moved() -> None:
    following = Following("ann", "bob")
    following.ledger.resumed("bob", "other.3")
    following.ledger.joined("cid")
    assert following.roster.load(following.ledger.state()) == [Came(BOB), Came(CID)]


def test_lines_that_no_honest_pod_writes_change_nothing() -> None:
    following = Following("ann")
    for rubbish in (b"", b"[]\n{}", b'["pod.1"]\n{"t":"ev","d":{"kind":"left"}}', b'["pod.1"]\n\xff'):
        following.ledger.off += 1
        assert following.push(Entry(following.ledger.off, rubbish)) == []
    assert following.roster.claims == {ANN: "pod.ann"}
    assert following.roster.off == following.ledger.off


def test_what_is_blocked_is_known_from_entries_and_from_states() -> None:
    following = Following("ann", "bob")
    ledger, roster = following.ledger, following.roster
    assert following.push(ledger.block("ann", "video", blocked=True)) == [Blocked(ANN)]
    assert roster.blocked[ANN] == {"video"}
    other = Roster()
    assert other.load(ledger.state()) == [Came(ANN), Came(BOB), Blocked(ANN)]
    assert other.blocked == {ANN: {"video"}}
    following.push(ledger.left("ann"))
    assert roster.blocked == {}
