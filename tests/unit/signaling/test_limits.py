from callcluster_signaling.limits import (
    HANDSHAKES,
    MAX_WAITING_PER_ADDRESS,
    Bucket,
    Doorkeeper,
    Rate,
    address_group,
)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(Rate(10, 5), 0.0)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0] * 5
    assert 0 < bucket.take(0.0) <= 0.1
    assert bucket.take(0.1) == 0.0
    assert bucket.take(0.1) > 0
    assert [bucket.take(1000.0) for _ in range(6)].count(0.0) == 5


def test_fifty_members_behind_one_address_come_in_at_once() -> None:
    door = Doorkeeper()
    assert all(door.knock("127.0.0.1", 0.0) == 0.0 for _ in range(50))


def test_a_flood_of_handshakes_is_turned_away_and_others_are_not() -> None:
    door = Doorkeeper()
    refused = sum(door.knock("192.0.2.1", 0.0) > 0 for _ in range(1000))
    assert refused == 1000 - HANDSHAKES.burst
    assert door.knock("192.0.2.2", 0.0) == 0.0


def test_sockets_that_never_say_hello_use_up_their_addresss_share() -> None:
    door = Doorkeeper()
    for _ in range(MAX_WAITING_PER_ADDRESS):
        door.enter("192.0.2.1")
    assert door.knock("192.0.2.1", 1000.0) > 0
    assert door.knock("192.0.2.2", 1000.0) == 0.0
    door.settle("192.0.2.1")
    assert door.knock("192.0.2.1", 1000.0) == 0.0


def test_addresses_group_by_what_one_party_holds() -> None:
    assert address_group("192.0.2.7") == "192.0.2.7"
    assert address_group("::ffff:192.0.2.7") == "192.0.2.7"
    assert address_group("2001:db8:1:2:3::4") == address_group("2001:db8:1:2::9") == "2001:db8:1:2::/64"
