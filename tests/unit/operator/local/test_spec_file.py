"""The file that is followed: what is good, and one line for each thing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from callcluster_operator.cli.up import built_in
from callcluster_operator.local.spec_file import SpecFileError, parse
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[4]
BOMB = (
    "x:\n  - &l0 [1]\n"
    + "".join(f"  - &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]\n" for n in range(12))
    + "kind: *l12\n"
)
CALLCLUSTER = """\
apiVersion: callcluster.dev/v1alpha1
kind: CallCluster
metadata:
  name: local
spec:
  domain: localhost
"""
ROOM = """\
apiVersion: callcluster.dev/v1alpha1
kind: Room
metadata: {name: stand-up}
spec:
  clusterRef: {name: local}
"""


def test_the_built_in_deployment_is_the_example() -> None:
    text = (ROOT / "examples" / "local.yaml").read_text()
    assert built_in() == parse(text, "local.yaml")
    assert (ROOT / "operator/callcluster_operator/local/default.yaml").read_text() == text


def test_callcluster_rooms_and_secrets_are_read_and_secrets_come_first() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: jwt}\nstringData: {secret: abc}\n"
    spec = parse("---\n".join([ROOM, CALLCLUSTER, secret]), "f")
    assert [obj["kind"] for obj in spec.objects] == ["Secret", "Room", "CallCluster"]
    assert spec.objects[0]["data"] == {"secret": "YWJj"}
    assert "stringData" not in spec.objects[0]
    assert {obj["metadata"]["namespace"] for obj in spec.objects} == {"default"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: holds 0 objects of kind CallCluster; this machine runs exactly one"),
        (CALLCLUSTER + "  turn: [\n", "f:8: "),
        (CALLCLUSTER + "  turn: {replicas: two}\n", "f:7: spec.turn.replicas: "),
        (CALLCLUSTER + "  turn:\n    replicas: -1\n", "f:8: spec.turn.replicas: "),
        (CALLCLUSTER + "  turns: {}\n", "f:7: spec.turns: is no field; did you mean turn?"),
        (CALLCLUSTER + "  turn: {zzz: 1}\n", "f:7: spec.turn.zzz: is no field; known are replicas, "),
        (CALLCLUSTER + "  domain: other\n", "f:7: domain: is there twice; remove one"),
        (CALLCLUSTER.replace("  domain: localhost\n", "  {}\n"), "f:5: spec: "),
        (CALLCLUSTER.replace("localhost", "LOCALHOST"), "f:6: spec.domain: "),
        (CALLCLUSTER.replace("CallCluster", "CallClutter"), "f:1: kind: CallClutter "),
        (CALLCLUSTER.replace("v1alpha1", "v1"), "f:1: kind: CallCluster (callcluster.dev/v1) is not known"),
        (CALLCLUSTER.replace("  name: local", "  {}"), "f:1: metadata.name: is missing"),
        (CALLCLUSTER + "---\n" + CALLCLUSTER, "f: holds 2 objects of kind CallCluster"),
        (CALLCLUSTER + "---\n" + ROOM + "---\n" + ROOM, "f: Room stand-up is there twice"),
        (
            CALLCLUSTER + "---\n" + ROOM.replace("stand-up", "x, namespace: other"),
            "f: the objects are in several namespaces",
        ),
        (
            CALLCLUSTER + "---\n" + ROOM + "  maxParticipants: 1\n",
            "f:13: spec.maxParticipants: ",
        ),
        ("just text", "f:1: is not an object"),
        ("- a\n- b\n", "f:1: is not an object"),
        ("{[1, 2]: x}", "f:1: a field's name must be a text"),
        ("a: \x00", "f: is not YAML: "),
        ("kind: [CallCluster]\napiVersion: {}\n", "f:1: kind: ['CallCluster'] ({}) is not known here"),
        ("a: " + "[" * 3000, "f: is nested too deeply"),
        (BOMB, "f:1: kind: [[[...], [...], "),
        ("&a {x: *a}", "f:1: kind: None (None) is not known here"),
        (CALLCLUSTER + "sepc: {}\n", "f:7: sepc: is no field; known are apiVersion, kind, metadata, spec"),
        (CALLCLUSTER + "  tls: 2024-99-99\n", "f:1: holds a date, number or tag that can't be read"),
        (CALLCLUSTER + f"  paused: {'9' * 5000}\n", "f:1: holds a date, number or tag that can't be read"),
        (CALLCLUSTER + "  paused: !!bool maybe\n", "f:1: holds a date, number or tag that can't be read"),
        (CALLCLUSTER + "  on: true\n", "f:7: a field's name must be a text; put it in quotes"),
        (CALLCLUSTER + "  !!str {a: b}: true\n", "f:7: a field's name must be a text; put it in quotes"),
        (CALLCLUSTER + '  tls: "\\ud800"\n', "f:7: a text holds a character that is none"),
        (CALLCLUSTER + '  tls: "\\0"\n', "f:7: a text holds a character that is none"),
        (CALLCLUSTER.replace("name: local", "name: 5"), "f:4: metadata.name: must be a text of at most"),
        (ROOM.replace("stand-up", "../etc"), "f:3: metadata.name: must be a text of at most"),
        (ROOM.replace("stand-up", "a, namespace: 7"), "f:3: metadata.namespace: must be a text"),
        (ROOM.replace("stand-up", "a, namespace: ../.."), "f:3: metadata.namespace: must be a text"),
        (ROOM.replace("stand-up", "a, labels: 5"), "f:3: metadata.labels: must hold texts by name"),
        (ROOM.replace("stand-up", "a, annotations: {a: 5}"), "f:3: metadata.annotations: must hold texts"),
        (ROOM.replace("stand-up", "a, lables: {}"), "f:3: metadata.lables: is no field; known are name"),
        ("!!python/object:os.system {}", "f:1: could not determine a constructor"),
        (
            CALLCLUSTER + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: '*'}\n",
            "f:11: data.k: is not base64; use stringData",
        ),
        (
            CALLCLUSTER + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: 1}\n",
            "f:11: stringData: must hold texts by name",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecFileError) as error:
        parse(text, "f")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_a_server_has_added_to_an_object_means_nothing_here() -> None:
    read = CALLCLUSTER.replace(
        "  name: local", "  name: local\n  uid: u\n  resourceVersion: '7'\n  generation: 2"
    )
    assert parse(read + "status: {conditions: []}\n", "f") == parse(CALLCLUSTER, "f")
    assert parse(CALLCLUSTER.replace("name: local", "name: local\n  namespace:"), "f") == parse(
        CALLCLUSTER, "f"
    )


@given(st.text(alphabet=st.sampled_from(list("abkindspec:-{}[],&*!|>'\"#\n \t1")), max_size=200))
def test_no_text_makes_anything_but_that_error(text: str) -> None:
    for content in (text, CALLCLUSTER + text):
        said = ""
        try:
            parse(content, "f")
        except SpecFileError as error:
            said = str(error)
        assert "\n" not in said
