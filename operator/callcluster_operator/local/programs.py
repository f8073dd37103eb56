"""Which program of this machine stands for which image."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from callcluster_operator.local.volumes import UnsupportedError
from callcluster_operator.objects import Object
from callcluster_operator.planning import names

BUILDING_PLANE = ".building-plane"
"""A file among this Python's packages while something builds the SFU's packet plane."""


class ProgramMissingError(Exception):
    """A program is not installed; the message says how to get it."""

    reason: ClassVar[str] = "ProgramMissing"


class Programs(Protocol):
    """Finds the program of a pod, and settles how it is started."""

    def program(self, pod: Object) -> tuple[str, ...]:
        """Program and first arguments that stand for the image's entry point.

        Raises:
            ProgramMissingError: it is not installed.
            UnsupportedError: there is none for this pod.
        """

    def arranged(self, pod: Object, argv: Sequence[str], directory: Path) -> Sequence[str]:
        """The command line that is really used; ``directory`` is the pod's own."""


def component_of(obj: Object) -> str:
    """The component that an object belongs to, or an empty text."""
    return str(obj["metadata"].get("labels", {}).get(names.COMPONENT_LABEL, ""))


class InstalledPrograms:
    """The programs that are installed here.

    Args:
        search_path: where to look, as ``PATH`` has it.
        without: components to do as if they were not installed.
        prefix: where this Python's packages are.
    """

    def __init__(
        self, search_path: str, without: frozenset[str] = frozenset(), prefix: Path = Path(sys.prefix)
    ) -> None:
        self._search_path = search_path
        self._without = without
        self._prefix = prefix

    def has_redis(self) -> bool:
        """Whether a Redis server can be run."""
        return self._find(names.REDIS, "redis-server") is not None

    def has_turn(self) -> bool:
        """Whether a TURN server can be run."""
        return self._find(names.TURN, "turnserver") is not None

    def program(self, pod: Object) -> tuple[str, ...]:
        """The program of a signaling, TURN, SFU or Redis pod."""
        match component_of(pod):
            case names.SIGNALING:
                return (sys.executable, "-m", "callcluster_signaling")
            case names.TURN:
                if not self.has_turn():
                    raise ProgramMissingError(self.missing(names.TURN, "coturn"))
                return (sys.executable, "-m", "callcluster_turn")
            case names.SFU:
                lacking = self._sfu_lacks()
                if lacking is not None:
                    raise ProgramMissingError(lacking)
                return (sys.executable, "-m", "callcluster_sfu")
            case names.REDIS:
                server = self._find(names.REDIS, "redis-server")
                if server is None:
                    raise ProgramMissingError(self.missing(names.REDIS, "redis-server"))
                return (server,)
        raise UnsupportedError("nothing on this machine stands for its image")

    def arranged(self, pod: Object, argv: Sequence[str], directory: Path) -> Sequence[str]:
        """Redis gets its options as a file: any user of this machine may read a command line."""
        if component_of(pod) != names.REDIS:
            return argv
        config = directory / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(redis_config(["--bind", "127.0.0.1", *argv[1:]]))
        return (argv[0], str(config))

    def missing(self, component: str, package: str) -> str:
        """Why a component's program can't be had, and how to mend it."""
        if component in self._without:
            return f"{package} was left out (--without {component})"
        return f"{package} is not installed; install it, e.g. with: apt install {package}"

    def _sfu_lacks(self) -> str | None:
        if names.SFU in self._without:
            return self.missing(names.SFU, "the SFU")
        importlib.invalidate_caches()  # it may be installed while this process runs
        if not all(map(importlib.util.find_spec, ("callcluster_sfu", "callcluster_plane"))):
            if (self._prefix / BUILDING_PLANE).exists():
                return "it is being built, and comes by itself when that is done"
            return "it is not built; where Rust is installed, build it with: requirements/bootstrap dev"
        if not self.has_redis():
            return f"it needs Redis, and {self.missing(names.REDIS, 'redis-server')}"
        return None

    def _find(self, component: str, name: str) -> str | None:
        return None if component in self._without else shutil.which(name, path=self._search_path)


def redis_config(options: Sequence[str]) -> str:
    """Options of a command line (``--name value ...``) as Redis' configuration file has them."""
    lines: list[list[str]] = []
    for word in options:
        # The first word after a name is its value, whatever it begins with: a password may begin with --.
        if word.startswith("--") and (not lines or len(lines[-1]) > 1):
            lines.append([word.removeprefix("--")])
        else:
            quoted = word.replace("\\", "\\\\").replace('"', '\\"')
            lines[-1].append(f'"{quoted}"')
    return "".join(" ".join(line) + "\n" for line in lines)
