import json

from callcluster_common.messages.types import CloseCode, Grants
from callcluster_signaling import effects as do
from callcluster_signaling.allowance import LEASE_BYTES, Allowance, Rates
from callcluster_signaling.session import Session
from callcluster_signaling.shares import FULL_SECONDS, INGRESS_FACTOR, JOINS_BURST_SECONDS, MAX_KEPT, Shares
from callcluster_signaling.tokens import Identity, guest
from kit.sig_session import error, frame, opened

RATES = Rates()
PUBLIC, OTHER_PUBLIC, INGRESS, OTHER_INGRESS = "198.41.0.4", "199.7.91.13", "10.0.0.7", "127.0.0.1"
TIMES = 4


def user(name: str) -> Identity:
    return Identity(name, "*", Grants(), exp=2_000_000_000)


def table(per_subject: int = TIMES, per_guest_address: int = 8) -> Shares:
    return Shares(RATES, per_subject, per_guest_address)


def sockets(shares: Shares, count: int, identity: Identity, address: str = PUBLIC) -> list[Allowance]:
    made = [Allowance(RATES, 0.0) for _ in range(count)]
    for allowance in made:
        shares.enter(allowance, identity, address, 0.0)
    return made


def passed(allowances: list[Allowance], size: int, seconds: int = 0) -> int:
    """How many frames of a flood by all of them go through, second by second."""
    return sum(
        1
        for now in range(seconds + 1)
        for allowance in allowances
        for _ in range(200)
        if not allowance.frame(size, now)
    )


def test_all_sockets_of_a_user_send_a_few_times_the_bytes_of_one() -> None:
    size, seconds = 50_000, 10
    most = TIMES * (RATES.bytes.burst + seconds * RATES.bytes.per_second) / size
    assert most - TIMES <= passed(sockets(table(), 30, user("a")), size, seconds) <= most


def test_all_sockets_of_a_user_send_a_bounded_number_of_small_frames() -> None:
    seconds = 10
    most = TIMES * RATES.messages_per_second * (16 + seconds)
    assert 0.95 * most <= passed(sockets(table(), 200, user("a")), 10, seconds) <= most


def test_what_one_user_spends_is_missing_to_no_other() -> None:
    shares = table()
    flooders = sockets(shares, 30, user("a"))
    passed(flooders, 50_000)
    assert flooders[0].frame(50_000, 0.0) > 0
    (other,) = sockets(shares, 1, user("b"))
    assert passed([other], 50_000) == RATES.bytes.burst // 50_000


def test_who_is_refused_is_told_when_it_will_do() -> None:
    shares = table()
    passed(sockets(shares, 30, user("a")), 50_000)
    (last,) = sockets(shares, 1, user("a"))
    wait = last.frame(50_000, 0.0)
    assert wait > 0
    assert last.frame(50_000, wait * 0.9) > 0
    assert last.frame(50_000, wait * 1.001) == 0.0


def test_a_socket_that_goes_leaves_what_it_did_not_send() -> None:
    shares, sent = table(), 0
    for _ in range(300):
        (brief,) = sockets(shares, 1, user("a"))
        assert brief.frame(1_000, 0.0) == 0.0
        shares.leave(brief, 0.0)
        sent += 1
    least = RATES.bytes_per_second / RATES.messages_per_second
    left = TIMES * RATES.bytes.burst - sent * least
    assert left // 50_000 - 2 <= passed(sockets(shares, 30, user("a")), 50_000) <= left // 50_000


def test_a_user_that_goes_and_comes_back_has_no_fresh_share() -> None:
    shares, count = table(), 0
    for now in (0.0, 1.0, 2.0):
        allowances = sockets(shares, 30, user("a"))
        count += sum(not one.frame(50_000, now) for one in allowances for _ in range(20))
        for allowance in allowances:
            shares.leave(allowance, now)
    most = TIMES * (RATES.bytes.burst + 2 * RATES.bytes.per_second) / 50_000
    assert most - TIMES <= count <= most


def test_joins_of_a_user_are_bounded_over_all_its_sockets() -> None:
    shares = table()
    allowances = sockets(shares, 30, user("a"))
    tried = [one.join(0.0) for _ in range(10) for one in allowances]
    assert tried.count(0.0) == TIMES * JOINS_BURST_SECONDS
    assert [allowances[0].join(1.0) for _ in range(20)].count(0.0) == TIMES
    assert sockets(shares, 1, user("b"))[0].join(0.0) == 0.0


def test_guests_share_by_their_public_address() -> None:
    shares = table()
    many = [sockets(shares, 1, guest(f"cid-{number:012}"))[0] for number in range(30)]
    most = 8 * RATES.bytes.burst / 50_000
    assert most - 8 <= passed(many, 50_000) <= most
    (elsewhere,) = sockets(shares, 1, guest("c" * 16), OTHER_PUBLIC)
    assert elsewhere.frame(50_000, 0.0) == 0.0


def test_guests_behind_an_ingress_share_what_one_pod_grants_them() -> None:
    shares = table()
    most = INGRESS_FACTOR * 8 * RATES.bytes.burst / 50_000
    leased = 60 * LEASE_BYTES / 50_000
    assert most - leased <= passed(sockets(shares, 60, guest("c" * 16), INGRESS), 50_000) <= most
    (other,) = sockets(shares, 1, guest("d" * 16), OTHER_INGRESS)
    assert other.frame(50_000, 0.0) > 0
    (member,) = sockets(shares, 1, user("a"), INGRESS)
    assert member.frame(50_000, 0.0) == 0.0


def test_zero_lifts_the_limit() -> None:
    shares = table(0, 0)
    for identity in (user("a"), guest("c" * 16)):
        each = RATES.bytes.burst // 50_000
        assert passed(sockets(shares, 30, identity), 50_000) == 30 * each
    assert len(shares) == 0


def test_users_are_forgotten_once_their_share_is_full_again() -> None:
    shares = table()
    (stays,) = sockets(shares, 1, user("stays"))
    for number in range(100):
        (goes,) = sockets(shares, 1, user(str(number)))
        shares.leave(goes, 0.0)
    shares.leave(sockets(shares, 1, user("late"))[0], FULL_SECONDS)
    assert len(shares) == 102
    shares.leave(sockets(shares, 1, user("later"))[0], FULL_SECONDS + 1.0)
    assert len(shares) == 3
    assert stays.frame(100, FULL_SECONDS + 1.0) == 0.0


def test_the_table_of_users_without_a_session_is_bounded() -> None:
    shares = table()
    for number in range(MAX_KEPT + 10):
        (brief,) = sockets(shares, 1, user(str(number)))
        shares.leave(brief, 0.0)
    assert len(shares) == MAX_KEPT


def test_leaving_twice_is_leaving_once() -> None:
    shares = table()
    one, other = sockets(shares, 2, user("a"))
    shares.leave(one, 0.0)
    shares.leave(one, 0.0)
    shares.leave(sockets(shares, 1, user("b"))[0], FULL_SECONDS + 1.0)
    assert len(shares) == 2
    assert other.frame(100, 0.0) == 0.0


def sharing(count: int) -> list[Session]:
    shares, sessions = table(), [opened(sub="alice") for _ in range(count)]
    for session in sessions:
        shares.enter(session.allowance, session.identity, PUBLIC, 0.0)
    return sessions


def test_beyond_the_share_frames_are_refused_and_in_the_end_the_sockets_closed() -> None:
    ends, codes = set[int](), set[str]()
    heavy = frame("ping", {"ts": 1}) + " " * 60_000
    for session in sharing(30):
        for number in range(250):
            (effect,) = session.receive(heavy if number < 16 else frame("ping", {"ts": 1}), 1.0)
            if isinstance(effect, do.Close):
                ends.add(effect.code)
                break
            assert isinstance(effect, do.Send)
            reply = json.loads(effect.data)
            if reply["t"] == "error":
                codes.add(reply["d"]["code"])
                assert reply["d"]["retry_after_ms"] > 0
        else:
            raise AssertionError("never closed")
    assert (codes, ends) == ({"rate_limited"}, {CloseCode.RATE_LIMITED})


def test_a_join_beyond_the_share_may_be_repeated_under_its_id() -> None:
    sessions = sharing(TIMES * JOINS_BURST_SECONDS + 1)
    join = frame("join", {"room": "r1"}, id="j")
    for session in sessions[:-1]:
        assert isinstance(session.receive(join, 1.0)[0], do.Join)
    assert error(sessions[-1].receive(join, 1.0)) == "rate_limited"
    assert isinstance(sessions[-1].receive(join, 2.0)[0], do.Join)
