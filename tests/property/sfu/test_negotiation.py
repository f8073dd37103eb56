from callcluster_sfu.negotiation import Forward, Negotiated
from callcluster_sfu.sdp.values import Description, Section
from hypothesis import given
from hypothesis import strategies as st
from kit.sfu_offers import SfuSide
from kit.sfu_plane import PlaneBooks
from kit.sfu_strategies import conversations, offers, patient


def bindings(given_offer: Description, data: st.DataObject) -> dict[str, Forward]:
    """Tracks of someone else for some of the receiving sections."""
    return {
        section.mid: Forward(
            data.draw(st.integers(900, 902)),
            section.kind,
            "opus" if section.kind == "audio" else data.draw(st.sampled_from(["vp8", "vp9"])),
            "stream",
            "name",
        )
        for section in given_offer.sections
        if section.mid is not None and not section.refused and data.draw(st.booleans())
    }


@patient
@given(offers(), st.data())
def test_an_answer_takes_from_the_offer_and_adds_nothing(
    given_offer: Description, data: st.DataObject
) -> None:
    answer = SfuSide().answer(given_offer, bindings(given_offer, data)).answer
    assert [(s.kind, s.mid) for s in answer.sections] == [(s.kind, s.mid) for s in given_offer.sections]
    for offered, answered in zip(given_offer.sections, answer.sections, strict=True):
        _check_within(offered, answered)
    live = tuple(section.mid for section in answer.sections if not section.refused)
    assert answer.bundles == (live,)


def _check_within(offered: Section, answered: Section) -> None:
    formats = {(codec.payload_type, codec.name, codec.clock) for codec in offered.codecs}
    assert {(codec.payload_type, codec.name, codec.clock) for codec in answered.codecs} <= formats
    assert set(answered.formats) <= set(offered.formats)
    assert {(e.id, e.uri) for e in answered.extensions} <= {(e.id, e.uri) for e in offered.extensions}
    assert {rid.name for rid in answered.rids} <= {rid.name for rid in offered.rids}
    assert not answered.direction.sends or offered.direction.receives
    assert not answered.direction.receives or offered.direction.sends
    by_type = {codec.payload_type: codec for codec in offered.codecs}
    for codec in answered.codecs:
        assert codec.feedback <= by_type[codec.payload_type].feedback


@patient
@given(conversations(), st.data())
def test_commands_add_up_to_what_is_agreed_and_no_number_comes_twice(
    said: list[Description], data: st.DataObject
) -> None:
    side = SfuSide()
    plane = PlaneBooks()
    for given_offer in said:
        before = side.state
        outcome = side.answer(given_offer, bindings(given_offer, data))
        plane.carry_out(outcome.commands)
        assert plane.tracks == {track.track: track for track in side.state.published}
        assert plane.legs == {leg.leg: leg for leg in side.state.legs}
        _check_stable(before, side.state)


def _check_stable(before: Negotiated, after: Negotiated) -> None:
    assert before.formats.items() <= after.formats.items()
    assert before.extensions.items() <= after.extensions.items()
    for known, now in zip(before.sections, after.sections, strict=False):
        assert not (known.open and now.open) or known.mid == now.mid


@patient
@given(conversations(), st.data())
def test_an_offer_said_twice_is_carried_out_once(said: list[Description], data: st.DataObject) -> None:
    side = SfuSide()
    for given_offer in said:
        bound = bindings(given_offer, data)
        side.answer(given_offer, bound)
        assert side.answer(given_offer, bound).commands == ()
