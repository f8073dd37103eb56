"""When a draining server ends."""

from __future__ import annotations

from callcluster_turn.drain import Drain


def test_a_server_that_was_not_asked_goes_on() -> None:
    drain = Drain(timeout=60)

    assert not drain.active
    assert not any(drain.may_end(now, 0, doors_closed=True) for now in range(5))


def test_a_drained_server_waits_for_its_termination() -> None:
    drain = Drain(timeout=60)
    drain.begin(0, allocations=3)

    assert drain.active
    assert not any(drain.may_end(now, 0, doors_closed=True) for now in range(500))

    drain.terminate(500)
    assert drain.may_end(500, 0, doors_closed=True)


def test_a_terminated_server_ends_after_two_quiet_readings() -> None:
    drain = Drain(timeout=60)
    drain.begin(0, allocations=2)
    drain.terminate(0)

    readings = [(1, 2), (2, 0), (3, 1), (4, 0), (5, 0)]
    assert [drain.may_end(now, left, doors_closed=True) for now, left in readings] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_quiet_before_the_doors_are_closed_does_not_count() -> None:
    drain = Drain(timeout=60)
    drain.begin(0, allocations=0)
    drain.terminate(0)

    assert not any(drain.may_end(now, 0, doors_closed=False) for now in range(5))
    assert not drain.may_end(5, 0, doors_closed=True)
    assert drain.may_end(6, 0, doors_closed=True)


def test_live_calls_end_at_the_deadline_of_the_termination() -> None:
    drain = Drain(timeout=60)
    drain.begin(0, allocations=2)
    drain.terminate(100)

    assert not drain.may_end(159, 2, doors_closed=True)
    assert drain.may_end(160, 2, doors_closed=True)


def test_a_second_termination_ends_at_once() -> None:
    drain = Drain(timeout=60)
    drain.begin(0, allocations=2)
    drain.terminate(0)
    drain.terminate(1)

    assert drain.may_end(1, 2, doors_closed=False)


def test_beginning_again_changes_nothing() -> None:
    drain = Drain(timeout=60)
    drain.begin(5, allocations=7)
    drain.begin(9, allocations=1)

    assert (drain.started, drain.initial_allocations) == (5, 7)
