from callcluster_common.messages.types import Bundle, MediaState, Member
from callcluster_signaling.roster_line import Change, RosterLine

SID = "a" * 16
BUNDLE = Bundle("kx1", "A" * 43, "B" * 43, 1, 2, "C" * 86)
TALKING = MediaState(audio=True)
SEEN = MediaState(audio=True, video=True)


def test_a_change_before_the_answer_to_another_field_keeps_both() -> None:
    line = RosterLine(Member(SID, meta="sealed"))
    line.publish(Change(bundle=BUNDLE))
    assert line.publish(Change(state=TALKING)) == Member(SID, BUNDLE, "sealed", TALKING)


def test_the_same_field_has_what_was_published_last() -> None:
    line = RosterLine(Member(SID))
    first, second = Change(state=TALKING), Change(state=SEEN)
    line.publish(first)
    assert line.publish(second).state == SEEN
    line.settle(first, accepted=True)
    line.settle(second, accepted=True)
    assert line.publish(Change(bundle=BUNDLE)) == Member(SID, BUNDLE, state=SEEN)


def test_what_the_bus_refused_is_in_no_later_line() -> None:
    line = RosterLine(Member(SID))
    first, second = Change(state=TALKING), Change(state=SEEN)
    line.publish(first)
    line.publish(second)
    line.settle(first, accepted=False)
    line.settle(second, accepted=False)
    assert line.publish(Change(bundle=BUNDLE)) == Member(SID, BUNDLE)


def test_equal_changes_are_told_apart() -> None:
    line = RosterLine(Member(SID))
    first, again = Change(state=TALKING), Change(state=TALKING)
    line.publish(first)
    line.publish(again)
    line.settle(first, accepted=False)
    assert line.publish(Change(bundle=BUNDLE)).state == TALKING


def test_a_change_that_is_published_again_is_the_latest_and_keeps_the_others() -> None:
    line = RosterLine(Member(SID))
    first, second, bundle = Change(state=TALKING), Change(state=SEEN), Change(bundle=BUNDLE)
    for change in (first, second, bundle):
        line.publish(change)
    assert line.publish(first) == Member(SID, BUNDLE, state=TALKING)
    assert line.publish(second) == Member(SID, BUNDLE, state=SEEN)


def test_the_outcome_of_an_earlier_stay_changes_nothing() -> None:
    earlier = Change(state=TALKING)
    RosterLine(Member(SID)).publish(earlier)
    line = RosterLine(Member(SID))
    line.settle(earlier, accepted=True)
    assert line.publish(Change(bundle=BUNDLE)) == Member(SID, BUNDLE)
