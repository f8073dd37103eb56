"""What the command line changes of the file's objects; links."""

from __future__ import annotations

import base64
import re

from callcluster_operator.local.link import join_link, new_room
from callcluster_operator.local.runtime import Options, adapted
from callcluster_operator.local.spec_file import SpecFile


def spec(**body: object) -> SpecFile:
    return SpecFile(
        {"kind": "CallCluster", "metadata": {"name": "local"}, "spec": {"domain": "localhost", **body}}, ()
    )


def test_the_own_page_is_an_allowed_origin_on_whatever_port() -> None:
    body = adapted(spec(), Options(port=3100)).callcluster["spec"]
    assert body["signaling"]["corsOrigins"] == ["http://localhost:3100", "http://127.0.0.1:3100"]
    given = adapted(spec(signaling={"corsOrigins": ["https://a.example"]}), Options())
    assert given.callcluster["spec"]["signaling"]["corsOrigins"] == [
        "https://a.example",
        "http://localhost:3000",
        "http://127.0.0.1:3000",
    ]


def test_an_origin_that_is_allowed_already_is_not_listed_twice() -> None:
    listed = ["*"]
    assert adapted(spec(signaling={"corsOrigins": listed}), Options()).callcluster["spec"]["signaling"][
        "corsOrigins"
    ] == ["*"]
    own = ["http://localhost:3000"]
    origins = adapted(spec(signaling={"corsOrigins": own}), Options()).callcluster["spec"]["signaling"]
    assert sorted(origins["corsOrigins"]) == ["http://127.0.0.1:3000", "http://localhost:3000"]


def test_the_turn_port_of_the_command_line_wins_and_the_file_stays_as_it_is() -> None:
    file = spec(turn={"listeningPort": 3500})
    assert adapted(file, Options(turn_port=3600)).callcluster["spec"]["turn"]["listeningPort"] == 3600
    assert adapted(file, Options()).callcluster["spec"]["turn"]["listeningPort"] == 3500
    assert file == spec(turn={"listeningPort": 3500})


def test_a_join_link_has_a_room_and_a_secret_of_its_own_in_the_fragment() -> None:
    one, other = (join_link("http://localhost:3000", new_room()) for _ in range(2))
    match = re.fullmatch(r"http://localhost:3000/#r=([A-Za-z0-9._~-]{1,128})&k=([A-Za-z0-9_-]{43})", one)
    assert match is not None
    assert len(base64.urlsafe_b64decode(match[2] + "=")) == 32
    assert one != other
