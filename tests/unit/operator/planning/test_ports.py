"""Slots: which ports they have, and who gets which."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.api.v1alpha1 import TURN, PortRange
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import ports
from kit.plan_executor import World
from kit.plan_objects import callcluster

TURN_OF_TWO = TURN(relay_port_range=PortRange(min=20000, max=21999))


def claim(number: int, turn: TURN = TURN_OF_TWO) -> PortClaim:
    return ports.slot_of(turn, number).claim("calls/other")


def test_slots_have_the_documented_ports() -> None:
    slot = ports.slot_of(TURN(), 7)
    assert (slot.listener, slot.tls, slot.control) == (3492, 5356, 9607)
    assert slot.relay == (27000, 27999)


def test_slots_of_the_default_range_never_overlap() -> None:
    claims = [claim(number, TURN()) for number in range(TURN().slots)]
    assert len(claims) == 8
    for index, one in enumerate(claims):
        assert not any(ports.overlap(one, other) for other in claims[index + 1 :])


def free(own: list[PortClaim], neighbours: list[PortClaim], nodes: int) -> int | None:
    slot = ports.free_slot(TURN_OF_TWO, own=own, neighbours=neighbours, nodes=nodes)
    return None if slot is None else slot.number


@pytest.mark.parametrize(
    ("own", "neighbours", "nodes", "chosen"),
    [
        ([], [], 0, 0),
        ([claim(0)], [], 1, 1),
        ([claim(0)], [], 5, 1),
        ([claim(0), claim(1)], [], 1, None),
        ([claim(0), claim(1)], [], 2, 0),
        ([claim(0), claim(1), claim(0)], [], 2, 1),
        ([claim(0), claim(1), claim(0), claim(1)], [], 2, None),
        ([], [claim(0)], 5, 1),
        ([claim(1)], [claim(0)], 5, 1),
        ([claim(1)], [claim(0)], 1, None),
        ([], [claim(0), claim(1)], 5, None),
    ],
)
def test_the_lowest_free_slot_is_taken(
    own: list[PortClaim], neighbours: list[PortClaim], nodes: int, chosen: int | None
) -> None:
    assert free(own, neighbours, nodes) == chosen


@pytest.mark.parametrize(
    "foreign",
    [
        PortClaim("x/y", frozenset({3478}), (25000, 25009)),
        PortClaim("x/y", frozenset({5349}), (25000, 25009)),
        PortClaim("x/y", frozenset({9600}), (25000, 25009)),
        PortClaim("x/y", frozenset({20500}), (25000, 25009)),
        PortClaim("x/y", frozenset({4000}), (20999, 21000)),
        PortClaim("x/y", frozenset({4000}), (3400, 3500)),
    ],
    ids=["listener", "tls", "control", "in our range", "ranges", "we in theirs"],
)
def test_any_shared_port_keeps_a_slot_from_being_taken(foreign: PortClaim) -> None:
    assert free([], [foreign], 5) != 0


SFU_PORTS = PortRange(min=28000, max=28002)


@pytest.mark.parametrize(
    ("claims", "taken", "chosen"),
    [
        ([], [], (28000, 9700)),
        ([PortClaim("x/y", frozenset({28000, 9700}))], [], (28001, 9701)),
        ([PortClaim("x/y", frozenset({9701}))], [28000], (28001, 9700)),
        ([PortClaim("x/y", frozenset({3478}), (27000, 28001))], [], (28002, 9700)),
        ([PortClaim("x/y", frozenset({3478}), (27000, 28001))], [28002], None),
        ([PortClaim("x/y", frozenset(range(9700, 10_000)))], [], None),
    ],
    ids=["free", "another SFU", "a port that rests", "relays", "none left", "no control port left"],
)
def test_an_sfu_gets_the_lowest_ports_that_nobody_holds(
    claims: list[PortClaim], taken: list[int], chosen: tuple[int, int] | None
) -> None:
    found = ports.free_sfu_ports(SFU_PORTS, claims=claims, taken=taken)
    assert (found and (found.media, found.control)) == chosen


def test_an_sfu_in_the_way_keeps_a_slot_from_being_taken() -> None:
    assert free([], [PortClaim("x/y", frozenset({20500}))], 5) == 1
    assert free([PortClaim("x/y", frozenset({20500}))], [], 5) == 1
    assert not ports.overlap(PortClaim("a/b", frozenset({1})), PortClaim("c/d", frozenset({2})))


def test_own_servers_of_another_geometry_are_not_shared_with() -> None:
    old = PortClaim("calls/cc", frozenset({3478, 9600}), (20000, 20499))
    assert free([old, claim(1)], [], 2) == 1


def test_a_claim_is_read_from_the_spec_and_not_from_labels_or_annotations() -> None:
    world = World()
    world.put(callcluster("cc"))
    world.settle("cc")
    pod = world.turn_pods()[0]
    found = ports.claim_of(pod)
    assert found == PortClaim("calls/cc", frozenset({3478, 9600}), (20000, 20999))
    stripped: dict[str, Any] = {**pod, "metadata": {**pod["metadata"], "annotations": {}}}
    assert ports.claim_of(stripped) == found


def test_pods_that_hold_no_ports_claim_none() -> None:
    world = World()
    world.put(callcluster("cc"))
    world.settle("cc")
    pod = world.turn_pods()[0]
    assert ports.claim_of({**pod, "status": {"phase": "Failed"}}) is None
    assert all(
        ports.claim_of(other) is None
        for ref, other in world.objects.items()
        if ref.kind.kind == "Pod" and ref.name != pod["metadata"]["name"]
    )
