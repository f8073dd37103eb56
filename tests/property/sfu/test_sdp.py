import contextlib
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from callcluster_sfu.sdp import Limits, SdpError, parse, serialize
from callcluster_sfu.sdp.values import Description
from hypothesis import given
from hypothesis import strategies as st
from kit.sfu_offers import SfuSide, offer, video
from kit.sfu_strategies import descriptions, offers, patient

LINES = st.sampled_from(
    """v=0|m=video 9 UDP/TLS/RTP/SAVPF 96|m=audio 0 x 0|a=group:BUNDLE 0 1|a=mid:0|a=rtpmap:96 VP8/90000
a=fmtp:96 apt=96|a=rtcp-fb:* nack|a=extmap:4351 urn:x|a=rid:q send pt=96;max-br=1|a=simulcast:send q;~h,f
a=ssrc:1 cname:x|a=ssrc-group:FID 1 1|a=ice-ufrag:abcd|a=candidate:1 1 udp 1 ::1 1 typ host|a=|a=:|a=rtpmap:
a=fmtp:|a=extmap:/|a=rid:|a=simulcast:|a=msid:|b=TIAS:|a=fingerprint:sha-256 """.replace("\n", "|").split(
        "|"
    )
)

BROWSERS = [
    path.read_bytes() for path in sorted((Path(__file__).parents[2] / "unit/sfu/offers").glob("*.sdp"))
]


@patient
@given(descriptions)
def test_a_description_survives_its_text(described: Description) -> None:
    assert parse(serialize(described)) == described


@patient
@given(offers())
def test_an_answer_survives_its_text(given_offer: Description) -> None:
    answer = SfuSide().answer(given_offer).answer
    assert parse(serialize(answer)) == answer


@patient
@given(
    st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_whatever_bytes_come_the_one_error_is_all_that_happens(data: bytes) -> None:
    _try(data.decode("utf-8", "surrogateescape"))
    _try("v=0\no=- 1 1 IN IP4 0\ns=-\nt=0 0\nm=video 9 RTP/SAVPF 96\n" + data.decode("latin-1"))


@patient
@given(offers(), st.data())
def test_a_mangled_offer_is_answered_or_refused_but_breaks_nothing(
    given_offer: Description, data: st.DataObject
) -> None:
    lines = serialize(given_offer).split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "put", "cut", "swap"])):
            case "drop":
                lines[at] = "a=x"
            case "double":
                lines.insert(at, lines[at])
            case "put":
                lines.insert(at, data.draw(LINES))
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
    _try("\r\n".join(lines))


@patient
@given(st.sampled_from(BROWSERS), st.data())
def test_a_browsers_offer_with_broken_bytes_is_answered_or_refused_but_breaks_nothing(
    written: bytes, data: st.DataObject
) -> None:
    broken = bytearray(written)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(broken)))
        until = at + data.draw(st.integers(0, 60))
        match data.draw(st.sampled_from(["write", "insert", "remove", "repeat", "move"])):
            case "write":
                broken[at : at + 1] = data.draw(st.binary(min_size=1, max_size=4))
            case "insert":
                broken[at:at] = data.draw(st.binary(max_size=60))
            case "remove":
                del broken[at:until]
            case "repeat":
                broken[at:at] = broken[at:until] * data.draw(st.integers(1, 40))
            case "move":
                other = data.draw(st.integers(0, len(broken)))
                broken[other:other] = broken[at:until]
    _try(broken.decode("utf-8", "surrogateescape"))
    _try(broken.decode("latin-1"))


def _try(text: str) -> None:
    with contextlib.suppress(SdpError):
        SfuSide().answer(parse(text))


def test_work_grows_with_the_length_and_not_faster() -> None:
    wide = Limits(characters=10**6, lines=10**5, sections=10**3)

    def work(count: int) -> int:
        text = serialize(offer(*(video(f"v{number}", rids=("q", "h", "f")) for number in range(count))))
        return _calls(lambda: SfuSide().answer(parse(text, wide)))

    few, many = work(20), work(80)
    assert many < 4.4 * few


def _calls(what: Any) -> int:
    """How many functions, C ones among them, ``what`` calls: a clock would tell of the machine."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        what()
    finally:
        sys.setprofile(None)
    return count
