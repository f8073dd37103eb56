import pytest
from callcluster_common.bus.refusals import EVERY_SECONDS, MAX_CAUSES, Refusals, cause_of

OOM = "OOM command not allowed when used memory > 'maxmemory'"


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    found = [record.__dict__["fields"] for record in caplog.records]
    caplog.clear()
    return [(fields["problem"], fields["count"]) for fields in found]


def test_a_cause_is_told_at_once_and_then_by_its_count_each_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for number in range(500):
        refusals.note(f"{OOM}. script: {number:040x}, on @user_script:{number}.", number / 10)
        refusals.tick(number / 10)
    assert told(caplog) == [(OOM, 1)]
    refusals.tick(EVERY_SECONDS)
    assert told(caplog) == [(OOM, 499)]
    refusals.note(OOM, EVERY_SECONDS + 1)
    assert told(caplog) == []
    refusals.tick(2 * EVERY_SECONDS)
    assert told(caplog) == [(OOM, 1)]


def test_a_cause_that_comes_back_after_a_quiet_minute_is_told_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    refusals.note(OOM, 0.0)
    refusals.tick(EVERY_SECONDS)
    refusals.note(OOM, EVERY_SECONDS + 1)
    assert told(caplog) == [(OOM, 1), (OOM, 1)]


def test_causes_are_counted_apart_and_there_is_an_end_to_them(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for number in range(1_000):
        refusals.note(f"ERR number {number}", 0.0)
    found = told(caplog)
    assert found[:2] == [("ERR number 0", 1), ("ERR number 1", 1)]
    assert len(found) == MAX_CAUSES + 1
    refusals.tick(EVERY_SECONDS)
    assert told(caplog) == [("other", 1_000 - MAX_CAUSES - 1)]


def test_redis_6_and_7_name_one_cause() -> None:
    six = f"ERR Error running script (call to f_{'0' * 40}): @user_script:1: @user_script: 1: -{OOM}."
    assert cause_of(six) == cause_of(f"{OOM}. script: {'1' * 40}, on @user_script:2.") == OOM


def test_a_cause_holds_none_of_a_commands_arguments() -> None:
    problem = "ERR unknown command 'EVALSHA', with args beginning with: 'canary' '2' 'sig:canary'"
    assert cause_of(problem) == "ERR unknown command 'EVALSHA'"
