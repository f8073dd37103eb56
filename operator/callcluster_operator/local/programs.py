"""Which program of this machine stands for which image."""

from __future__ import annotations

import shutil
import sys
from typing import ClassVar, Protocol

from callcluster_operator.local.container import only_container
from callcluster_operator.local.volumes import UnsupportedError
from callcluster_operator.objects import Object
from callcluster_operator.planning import names


class ProgramMissingError(Exception):
    """A program is not installed; the message says how to get it."""

    reason: ClassVar[str] = "ProgramMissing"


class Programs(Protocol):
    """Finds the program of a pod."""

    def program(self, pod: Object) -> tuple[str, ...]:
        """Program and first arguments that stand for the image's entry point.

        Raises:
            ProgramMissingError: it is not installed.
            UnsupportedError: there is none for this pod.
        """


def component_of(obj: Object) -> str:
    """The component that an object belongs to, or an empty text."""
    return str(obj["metadata"].get("labels", {}).get(names.COMPONENT_LABEL, ""))


class InstalledPrograms:
    """The programs that are installed here.

    Args:
        search_path: where to look, as ``PATH`` has it.
        without: components to do as if they were not installed.
    """

    def __init__(self, search_path: str, without: frozenset[str] = frozenset()) -> None:
        self._search_path = search_path
        self._without = without

    def has_redis(self) -> bool:
        """Whether a Redis server can be run."""
        return self._find(names.REDIS, "redis-server") is not None

    def has_turn(self) -> bool:
        """Whether a TURN server can be run."""
        return self._find(names.TURN, "turnserver") is not None

    def program(self, pod: Object) -> tuple[str, ...]:
        """The program of a signaling, TURN or Redis pod."""
        match component_of(pod):
            case names.SIGNALING:
                return (sys.executable, "-m", "callcluster_signaling")
            case names.TURN:
                if not self.has_turn():
                    raise ProgramMissingError(self.missing(names.TURN, "coturn"))
                return (sys.executable, "-m", "callcluster_turn")
            case names.REDIS:
                server = self._find(names.REDIS, "redis-server")
                if server is None:
                    raise ProgramMissingError(self.missing(names.REDIS, "redis-server"))
                return (server, *only_container(pod).get("command", ())[1:])
        raise UnsupportedError("nothing on this machine stands for its image")

    def missing(self, component: str, package: str) -> str:
        """Why a component's program can't be had, and how to mend it."""
        if component in self._without:
            return f"{package} was left out (--without {component})"
        return f"{package} is not installed; install it, e.g. with: apt install {package}"

    def _find(self, component: str, name: str) -> str | None:
        return None if component in self._without else shutil.which(name, path=self._search_path)
