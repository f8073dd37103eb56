from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from callcluster_common import directive, keyset
from callcluster_common.directive import Directive
from callcluster_common.keyset import KeySet
from kit.ports import free_port
from kit.signaling_server import SignalingProcess
from kit.signaling_server import signaling as start_signaling

TurnFiles = Callable[[tuple[str, ...], KeySet], dict[str, str]]


@pytest.fixture
def signaling() -> Iterator[SignalingProcess]:
    with start_signaling(GUEST_ACCESS="true") as process:
        yield process


@pytest.fixture
def turn_files(tmp_path: Path) -> TurnFiles:
    """Settings that make a signaling server hand out TURN servers."""

    def write(uris: tuple[str, ...], keys: KeySet) -> dict[str, str]:
        directive_file, keys_file = tmp_path / directive.DIRECTIVE_FILE, tmp_path / keyset.KEYS_FILE
        directive_file.write_bytes(directive.encode(Directive(turn_uris=uris)))
        keys_file.write_bytes(keyset.encode(keys))
        return {
            "GUEST_ACCESS": "true",
            "DIRECTIVE_FILE": str(directive_file),
            "TURN_KEYS_FILE": str(keys_file),
        }

    return write


@pytest.fixture
def unused_port() -> int:
    return free_port()
