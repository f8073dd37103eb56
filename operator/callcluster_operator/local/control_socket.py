"""The socket through which other ``callcluster`` commands reach a running ``callcluster up``.

It lies in the run's directory, which only this user may enter: whoever can connect may read everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from callcluster_operator.cluster import Cluster
from callcluster_operator.objects import CALL_CLUSTER, POD, ROOM, SECRET, Kind, Object, Ref

SOCKET = "control.sock"
TIMEOUT_SECONDS = 5.0
KINDS: Mapping[str, Kind] = {"callclusters": CALL_CLUSTER, "rooms": ROOM, "pods": POD}
"""What may be listed, by plural."""


class NotRunningError(Exception):
    """No ``callcluster up`` could be reached; the message says how to mend it."""


class StateDirectoryError(Exception):
    """The directory of running instances can't be trusted; the message says why."""


def state_directory(base: Path) -> Path:
    """Make the directory of all running instances below ``base``, private to this user.

    Raises:
        StateDirectoryError: it can't be made, somebody else made it, or others may enter it.
    """
    directory = base / f"callcluster-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _trusted(directory)
    except OSError as error:
        raise StateDirectoryError(f"{directory} can't be made: {error.strerror}") from None


def _trusted(directory: Path) -> Path:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateDirectoryError(
            f"{directory} is not a directory of yours alone; remove it and start again"
        )
    return directory


class ControlSocket:
    """Answers the other commands.

    Args:
        cluster: what is shown.
        namespace: of the objects.
        about: port and process id of this instance.
    """

    def __init__(self, cluster: Cluster, namespace: str, about: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._about = about
        app = web.Application()
        app.router.add_get("/about", self._get_about)
        app.router.add_get("/objects/{plural}", self._get_objects)
        app.router.add_get("/secrets/{name}", self._get_secret)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self, directory: Path) -> None:
        """Listen in ``directory``.

        Raises:
            OSError: the path is too long for a socket, or can't be written.
        """
        await self._runner.setup()
        await web.UnixSite(self._runner, str(directory / SOCKET)).start()

    async def stop(self) -> None:
        """Close the socket."""
        await self._runner.cleanup()

    async def _get_about(self, _: web.Request) -> web.Response:
        return web.json_response(self._about)

    async def _get_objects(self, request: web.Request) -> web.Response:
        kind = KINDS.get(request.match_info["plural"])
        if kind is None:
            return web.json_response({}, status=404)
        return web.json_response(await self._cluster.list(kind, namespace=self._namespace))

    async def _get_secret(self, request: web.Request) -> web.Response:
        found = await self._cluster.get(Ref(SECRET, self._namespace, request.match_info["name"]))
        return web.json_response(found or {}, status=200 if found else 404)


class Instance:
    """A running ``callcluster up``, seen from another command."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.about: dict[str, Any] = self._get("/about")

    def objects(self, plural: str) -> list[Object]:
        """All objects of a kind."""
        listed: list[Object] = self._get(f"/objects/{plural}")
        return listed

    def secret(self, name: str) -> Object | None:
        """A Secret, or ``None``."""
        found: Object = self._get(f"/secrets/{name}")
        return found or None

    def _get(self, path: str) -> Any:
        async def get() -> Any:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            connector = aiohttp.UnixConnector(str(self._socket))
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://callcluster{path}") as answer,
            ):
                return json.loads(await answer.text())

        try:
            return asyncio.run(get())
        except (OSError, aiohttp.ClientError, TimeoutError):
            raise NotRunningError("callcluster up does not answer; start it again") from None


def find(base: Path, port: int | None) -> Instance:
    """The running instance, or the one on ``port`` where there are several.

    Raises:
        NotRunningError: there is none, or several and no port.
        StateDirectoryError: the place where they are found can't be trusted.
    """
    directory = base / f"callcluster-{os.getuid()}"
    instances = _instances(_trusted(directory)) if directory.exists() else iter(())
    found = [one for one in instances if port in (None, one.about["port"])]
    if not found:
        on = f" on port {port}" if port else ""
        raise NotRunningError(f"no callcluster up is running{on}; start one with: callcluster up")
    if len(found) > 1:
        ports = ", ".join(str(one.about["port"]) for one in found)
        raise NotRunningError(
            f"several callcluster up are running; choose one with --port (one of {ports})"
        )
    return found[0]


def _instances(directory: Path) -> Iterator[Instance]:
    for socket in sorted(directory.glob(f"*/{SOCKET}")):
        try:
            yield Instance(socket)
        except NotRunningError:
            continue  # one that was killed and is being tidied up
