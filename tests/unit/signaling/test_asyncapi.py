import json
from pathlib import Path

import pytest
from callcluster_common.messages.types import CloseCode
from callcluster_signaling.tools import asyncapi
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = json.loads((ROOT / "docs" / "asyncapi.json").read_text())


def _validator(message: str) -> Draft202012Validator:
    registry = Registry().with_resource("urn:doc", DRAFT202012.create_resource(DOCUMENT))
    reference = DOCUMENT["components"]["messages"][message]["payload"]["schema"]["$ref"]
    return Draft202012Validator({"$ref": f"urn:doc{reference}"}, registry=registry)


def test_the_document_is_not_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert asyncapi.main(["--check"]) == 0


def test_a_stale_document_fails_the_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert asyncapi.main(["--check"]) == 1
    (tmp_path / "docs").mkdir()
    assert asyncapi.main([]) == 0
    assert asyncapi.main(["--check"]) == 0


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_each_schema_is_json_schema_2020_12(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_every_reference_leads_somewhere() -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(reference := node.get("$ref"), str):
                found: object = DOCUMENT
                for part in reference.removeprefix("#/").split("/"):
                    assert isinstance(found, dict)
                    found = found[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ("client.hello", {"t": "hello", "id": "1", "d": {"cid": "c" * 16, "attempt": 0, "token": "x"}}),
        ("client.offer", {"t": "offer", "to": {"sid": "s" * 16}, "d": {"sdp": "v=0"}}),
        ("client.leave", {"t": "leave", "id": "2"}),
        ("server.ok", {"t": "ok", "re": "2", "d": {}}),
        ("server.ev", {"t": "ev", "off": 3, "d": {"kind": "left", "sid": "s" * 16, "reason": "timeout"}}),
    ],
)
def test_good_frames_fit_and_bent_ones_do_not(message: str, frame: dict[str, object]) -> None:
    _validator(message).validate(frame)
    assert not _validator(message).is_valid({**frame, "t": "else"})


def test_every_close_code_has_a_meaning() -> None:
    assert set(DOCUMENT["x-close-codes"]) == {str(int(code)) for code in CloseCode}
