from callcluster_signaling.allowance import MAX_KEPT, Allowance, Allowances, Rates
from callcluster_signaling.limits import ICE, KEYS, STRIKES

RATES = Rates()


def spent(now: float = 0.0) -> Allowance:
    """Nothing is left of any of its buckets."""
    made = Allowance(RATES, now)
    while not made.frame(0, now):
        pass
    for take in (made.ice, made.keys, made.strike):
        while not take(now):
            pass
    return made


def test_a_session_that_comes_back_has_what_it_had_left() -> None:
    kept = Allowances(60)
    kept.keep("a", spent(), 0.0)
    back = kept.take("a")
    assert back is not None
    back.absorb(Allowance(RATES, 0.0), 0.0)
    for take in (back.ice, back.keys, back.strike):
        assert take(0.0) > 0
    assert back.frame(0, 0.0) > 0
    assert back.frame(0, 1.0) == 0.0


def test_what_a_socket_spent_before_its_resume_counts() -> None:
    old, new = Allowance(RATES, 0.0), Allowance(RATES, 10.0)
    for _ in range(50):
        assert old.frame(1_000, 10.0) == new.frame(1_000, 10.0) == 0.0
    for _ in range(int(STRIKES.burst)):
        assert new.strike(10.0) == 0.0
    old.absorb(new, 10.0)
    assert [old.frame(0, 10.0) for _ in range(21)].count(0.0) == 20
    assert old.strike(10.0) > 0


def test_no_socket_leaves_a_session_in_debt() -> None:
    old = spent()
    old.absorb(spent(), 0.0)
    assert old.frame(0, 1 / RATES.messages_per_second) == 0.0
    assert old.ice(1 / ICE.per_second) == 0.0
    assert old.keys(1 / KEYS.per_second) == 0.0


def test_sessions_are_forgotten_with_the_window_in_which_they_may_come_back() -> None:
    kept = Allowances(60)
    kept.keep("a", spent(), 0.0)
    kept.keep("b", spent(), 50.0)
    kept.keep("c", spent(), 61.0)
    assert kept.take("a") is None
    assert kept.take("b") is not None


def test_the_table_of_the_absent_is_bounded() -> None:
    kept = Allowances(60)
    one = Allowance(RATES, 0.0)
    for number in range(MAX_KEPT + 10):
        kept.keep(str(number), one, 0.0)
    assert len(kept) == MAX_KEPT
    assert kept.take("9") is None
    assert kept.take("10") is one
