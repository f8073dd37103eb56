"""What is told at the terminal."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.local.display import CLUSTER, Display, lines, said_by, to_do
from callcluster_operator.objects import Object
from callcluster_operator.planning import names

URL = "http://localhost:3000"


def pod(
    component: str,
    *,
    ready: bool = True,
    restarts: int = 0,
    waiting: dict[str, str] | None = None,
    port: int = 1,
) -> Object:
    state: dict[str, Any] = {"waiting": waiting} if waiting else {"running": {}}
    return {
        "metadata": {"name": f"local-{component}-0", "labels": {names.COMPONENT_LABEL: component}},
        "spec": {"containers": [{"ports": [{"containerPort": port}]}]},
        "status": {
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "reason": waiting["reason"] if waiting else "ContainersNotReady",
                    "message": "the bus is down",
                }
            ],
            "containerStatuses": [{"restartCount": restarts, "state": state}],
        },
    }


def test_what_is_ready_is_said_with_its_place() -> None:
    said = lines([pod(names.SIGNALING)], URL)
    assert said == {names.SIGNALING: "ready, http://localhost:3000"}


def test_an_sfu_that_lacks_its_program_is_no_reason_to_stop() -> None:
    waiting = {"reason": "ProgramMissing", "message": "it is not built"}
    assert lines([pod(names.SFU, port=28000)], URL) == {names.SFU: "ready, 127.0.0.1:28000 (UDP)"}
    assert lines([pod(names.SFU, ready=False, waiting=waiting)], URL) == {
        names.SFU: "it is not built; group calls run as a mesh"
    }


def condition(kind: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": "False", "reason": reason, "message": f"{kind} {reason}"}


def test_what_only_people_can_mend_is_said() -> None:
    conditions = [
        condition("Ready", "SecretMissing"),
        condition("Progressing", "Paused"),
        condition("SignalingAvailable", "SecretMissing"),
        condition("TURNAvailable", "PodsNotReady"),
    ]
    assert to_do({"status": {"conditions": conditions}}) == {
        CLUSTER: "Progressing Paused",
        names.SIGNALING: "SignalingAvailable SecretMissing",
    }
    assert to_do({}) == {}


def test_a_second_pause_is_said_like_the_first() -> None:
    printed: list[str] = []
    display = Display(printed.append)
    for said in ({CLUSTER: "paused"}, {CLUSTER: "paused"}, {}, {CLUSTER: "paused"}):
        display.show(said)
    assert len(printed) == 2


def test_restarts_are_counted() -> None:
    said = lines([pod(names.SIGNALING, restarts=1)], URL)
    assert said == {names.SIGNALING: "ready (1 restart), http://localhost:3000"}
    assert "(3 restarts)" in lines([pod(names.SIGNALING, restarts=3)], URL)[names.SIGNALING]


def test_several_turn_servers_are_said_with_all_their_ports() -> None:
    said = lines([pod(names.TURN, port=3478), pod(names.TURN, port=3480)], URL)
    assert said == {names.TURN: "ready, 2 pods, 127.0.0.1:3478, 3480 (UDP, TCP)"}


def test_a_rollout_says_nothing_until_it_is_done() -> None:
    assert lines([pod(names.SIGNALING), pod(names.SIGNALING, ready=False)], URL) == {}


def test_what_was_ready_and_is_no_more_is_said_with_the_reason() -> None:
    said = lines([pod(names.SIGNALING, ready=False)], URL)
    assert said == {names.SIGNALING: "not ready: the bus is down"}


def test_starting_says_nothing_yet() -> None:
    waiting = {"reason": "ContainerCreating", "message": "waits for Secret keys"}
    assert lines([pod(names.SIGNALING, ready=False, waiting=waiting)], URL) == {}


def test_a_missing_turn_server_is_said_with_what_follows_from_it() -> None:
    waiting = {"reason": "ProgramMissing", "message": "coturn is not installed"}
    said = lines([pod(names.TURN, ready=False, waiting=waiting)], URL)
    assert said == {names.TURN: "coturn is not installed; calls work without relay"}


def test_a_busy_turn_port_is_said_with_what_is_done_about_it() -> None:
    waiting = {"reason": "PortBusy", "message": "port 3478 (UDP) is in use by another program"}
    said = lines([pod(names.TURN, ready=False, waiting=waiting)], URL)[names.TURN]
    assert said.startswith("port 3478 (UDP) is in use by another program")
    assert said.endswith("; takes other ports")


def test_a_process_that_keeps_ending_is_said_once_with_its_last_word() -> None:
    line = 'ended with code 2: {"level": "error", "msg": "JWT_SECRET must have at least 32 bytes"}'
    waiting = {"reason": "CrashLoopBackOff", "message": line}
    said = [
        lines([pod(names.SIGNALING, ready=False, restarts=number, waiting=waiting)], URL)
        for number in (1, 2)
    ]
    assert said[0] == {names.SIGNALING: "ended with code 2: JWT_SECRET must have at least 32 bytes"}
    assert said[0] == said[1]


@pytest.mark.parametrize("text", ["plain", "odd {", 'odd {"a": 1}', "odd {1}", "{}"])
def test_a_line_that_is_no_log_record_is_said_as_it_is(text: str) -> None:
    assert said_by(text) == text


def test_each_thing_is_said_once() -> None:
    written: list[str] = []
    display = Display(written.append)
    for text in ("ready", "ready", "ready (1 restart)"):
        display.show({names.TURN: text})
    assert [line.split(maxsplit=1)[1] for line in written] == ["ready", "ready (1 restart)"]
