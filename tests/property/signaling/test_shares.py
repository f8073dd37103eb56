from callcluster_common.messages.types import Grants
from callcluster_signaling.allowance import Allowance, Rates
from callcluster_signaling.shares import Shares
from callcluster_signaling.tokens import Identity
from hypothesis import given
from hypothesis import strategies as st

RATES = Rates()


@given(
    st.lists(st.tuples(st.integers(0, 65_536), st.sampled_from((0.0, 0.001, 0.1, 1.0, 30.0))), max_size=400)
)
def test_a_session_alone_feels_nothing_of_its_share(frames: list[tuple[int, float]]) -> None:
    shared, alone, now = Allowance(RATES, 0.0), Allowance(RATES, 0.0), 0.0
    Shares(RATES, 2, 0).enter(shared, Identity("user", "*", Grants(), exp=2_000_000_000), "", now)
    for size, pause in frames:
        now += pause
        assert shared.frame(size, now) == alone.frame(size, now)
