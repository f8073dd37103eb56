import random

from callcluster_signaling.drain import MIN_PER_SECOND, schedule


def test_a_big_drain_uses_the_whole_spread_evenly() -> None:
    slots = schedule(range(4_500), 45.0, random.Random(1))
    delays = [delay for delay, _ in slots]
    assert delays == sorted(delays)
    assert 0 <= delays[0] < 1
    assert 44 < delays[-1] <= 45
    for second in range(0, 45, 5):
        assert 350 < sum(second <= delay < second + 5 for delay in delays) < 650


def test_everybody_has_exactly_one_slot() -> None:
    slots = schedule(range(100), 45.0, random.Random(2))
    assert sorted(link for _, link in slots) == list(range(100))


def test_a_server_with_few_connections_is_done_soon() -> None:
    assert all(delay <= 2 / MIN_PER_SECOND for delay, _ in schedule(range(2), 45.0, random.Random(3)))
    assert schedule([], 45.0, random.Random(4)) == []
