from callcluster_signaling.limits import (
    HANDSHAKES,
    MAX_WAITING,
    MAX_WAITING_PER_ADDRESS,
    Doorkeeper,
    address_group,
)


def test_fifty_members_behind_one_address_come_in_at_once() -> None:
    door = Doorkeeper(0)
    assert all(door.knock("127.0.0.1", 0.0) == 0.0 for _ in range(50))


def test_a_flood_of_handshakes_is_turned_away_and_others_are_not() -> None:
    door = Doorkeeper(0)
    refused = sum(door.knock("198.41.0.4", 0.0) > 0 for _ in range(1000))
    assert refused == 1000 - HANDSHAKES.burst
    assert door.knock("199.7.91.13", 0.0) == 0.0


def test_sockets_that_never_say_hello_use_up_their_addresss_share() -> None:
    door = Doorkeeper(0)
    for _ in range(MAX_WAITING_PER_ADDRESS):
        door.enter("198.41.0.4")
    assert door.knock("198.41.0.4", 1000.0) > 0
    assert door.knock("199.7.91.13", 1000.0) == 0.0
    door.settle("198.41.0.4")
    assert door.knock("198.41.0.4", 1000.0) == 0.0


def test_a_whole_office_behind_an_ingress_is_not_one_flooder() -> None:
    door = Doorkeeper(0)
    for address in ("10.0.0.7", "127.0.0.1", "fd00::/64"):
        assert all(door.knock(address, 0.0) == 0.0 for _ in range(1_000)), address


def test_there_is_an_end_to_silent_sockets_even_from_an_ingress() -> None:
    door = Doorkeeper(0)
    for _ in range(MAX_WAITING):
        door.enter("10.0.0.7")
    assert door.knock("10.0.0.7", 0.0) > 0
    assert door.knock("198.41.0.4", 0.0) > 0


def test_one_public_address_has_so_many_sockets_and_an_ingress_any_number() -> None:
    door = Doorkeeper(3)
    for address in ("198.41.0.4", "10.0.0.7"):
        for _ in range(3):
            assert not door.crowded(address)
            door.enter(address)
            door.settle(address)
    assert door.crowded("198.41.0.4")
    assert not door.crowded("10.0.0.7")
    assert not door.crowded("199.7.91.13")
    door.leave("198.41.0.4")
    assert not door.crowded("198.41.0.4")


def test_without_a_cap_no_address_is_crowded() -> None:
    door = Doorkeeper(0)
    for _ in range(5_000):
        door.enter("198.41.0.4")
    assert not door.crowded("198.41.0.4")


def test_addresses_group_by_what_one_party_holds() -> None:
    assert address_group("192.0.2.7") == "192.0.2.7"
    assert address_group("::ffff:192.0.2.7") == "192.0.2.7"
    assert address_group("2001:db8:1:2:3::4") == address_group("2001:db8:1:2::9") == "2001:db8:1:2::/64"
