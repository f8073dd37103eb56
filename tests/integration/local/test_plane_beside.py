"""The packet plane is built beside the demo: after its link, and no longer than the demo runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.eventually import eventually
from kit.local_node import is_running

REQUIREMENTS = Path(__file__).parents[3] / "requirements"
SCRIPTS = ("plane", "plane-beside", "plane.txt")

pytestmark = pytest.mark.timeout(120)


class Checkout:
    """A tree with our scripts, and with a Python and a Rust that are made up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marker = root / ".venv" / ".building-plane"
        self.pids = root / "pids"
        (root / "requirements").mkdir()
        for name in SCRIPTS:
            shutil.copy(REQUIREMENTS / name, root / "requirements" / name)
        for name in ("core/src", "python"):
            (root / "images/sfu/plane" / name).mkdir(parents=True)
        for name in ("Cargo.toml", "Cargo.lock", "core/Cargo.toml"):
            (root / "images/sfu/plane" / name).touch()
        self.program(".venv/bin/uv", "exit 0")
        self.program(".venv/bin/maturin", "exit 0")

    def program(self, name: str, body: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def building(self) -> list[int]:
        """What the made-up compiler runs as."""
        return [int(line) for line in self.pids.read_text().split()] if self.pids.exists() else []

    def demo(self) -> subprocess.Popen[str]:
        """As `make demo` does: one process, which waits to be ended."""
        return subprocess.Popen(
            ["/bin/sh", "-c", f"requirements/plane-beside $$ && exec {sys.executable} -c 'input()'"],
            cwd=self.root,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    yield made
    for pid in filter(is_running, made.building()):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_the_build_ends_with_the_demo_and_leaves_no_compiler(
    checkout: Checkout, number: signal.Signals
) -> None:
    checkout.program("bin/cargo", "exit 0")
    # A compiler below the builder, which ignores the polite signals.
    checkout.program(
        ".venv/bin/maturin",
        f"(trap '' INT TERM; exec sleep 600) & echo $! >>{checkout.pids}; echo $$ >>{checkout.pids}; wait",
    )
    with checkout.demo() as demo:
        await eventually(lambda: len(checkout.building()) == 2, within=60)
        assert checkout.marker.exists()
        demo.send_signal(number)
        demo.wait(30)
        await eventually(lambda: not any(map(is_running, checkout.building())), within=60)
        await eventually(lambda: not checkout.marker.exists(), within=60)


async def test_what_is_built_is_marked_so_and_built_no_more(checkout: Checkout) -> None:
    checkout.program("bin/cargo", "exit 0")
    checkout.program(".venv/bin/maturin", f"echo $$ >>{checkout.pids}")
    for _ in range(2):
        with checkout.demo() as demo:
            await eventually(lambda: (checkout.root / ".venv/.stamp-plane").exists(), within=60)
            await eventually(lambda: not checkout.marker.exists(), within=60)
            demo.kill()
    assert len(checkout.building()) == 1


async def test_without_cargo_one_line_says_so_and_the_demo_goes_on(checkout: Checkout) -> None:
    checkout.program("bin/cargo", "exit 1")
    with checkout.demo() as demo:
        assert demo.stderr is not None
        said = demo.stderr.readline()
        assert said.startswith("group calls run as a mesh: cargo is not installed")
        assert demo.poll() is None
        demo.kill()
    assert not checkout.marker.exists()
    assert not checkout.building()
