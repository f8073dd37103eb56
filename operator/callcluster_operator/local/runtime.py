"""One local deployment: store, reconciler, node, and what stands before the signaling pods."""

from __future__ import annotations

import asyncio
import copy
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcluster_operator.local.control_socket import ControlSocket, state_directory
from callcluster_operator.local.controller import Controller
from callcluster_operator.local.deployments import is_ready
from callcluster_operator.local.display import lines, to_do
from callcluster_operator.local.node import Node, StoreRegistry
from callcluster_operator.local.ports import pick, reserve
from callcluster_operator.local.process import Warden
from callcluster_operator.local.programs import InstalledPrograms, component_of
from callcluster_operator.local.service import Service
from callcluster_operator.local.spec_file import SpecFile
from callcluster_operator.local.store import Change, Store
from callcluster_operator.objects import CALL_CLUSTER, POD, Object, ref_of
from callcluster_operator.observed import Platform
from callcluster_operator.planning import names
from callcluster_operator.reconciler import Reconciler
from callcluster_operator.workload.reports import ControlPorts

NODE_NAME = "localhost"
HOST = "127.0.0.1"
FILE_MANAGER = "file"
"""Field manager of what the YAML file says."""
REDIS_PORT = 6379


class RuntimeStartError(Exception):
    """It can't start; the message is one line that says how to mend it."""


@dataclass(frozen=True)
class Options:
    """What the command line settles."""

    port: int = 3000
    turn_port: int | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Machine:
    """What the environment settles."""

    search_path: str
    state_base: Path
    """Where running instances keep their files."""


def adapted(spec: SpecFile, options: Options) -> SpecFile:
    """The objects with the choices of the command line, and with our own page among the allowed origins."""
    callcluster = copy.deepcopy(spec.callcluster)
    body = callcluster["spec"]
    if options.turn_port is not None:
        body.setdefault("turn", {})["listeningPort"] = options.turn_port
    origins = body.setdefault("signaling", {}).setdefault("corsOrigins", [])
    if "*" not in origins:
        own = (f"http://{host}:{options.port}" for host in ("localhost", HOST))
        origins += [origin for origin in own if origin not in origins]
    return SpecFile(callcluster, spec.others)


class Runtime:
    """A deployment on this machine. Use as an asynchronous context manager.

    Args:
        spec: what to run at first.
        options: from the command line.
        machine: from the environment.
        on_line: called with each line that a pod prints.
    """

    def __init__(
        self,
        spec: SpecFile,
        options: Options,
        machine: Machine,
        on_line: Callable[[Object, str], None] = lambda pod, line: None,
    ) -> None:
        self.store = Store()
        self.notes: dict[str, str] = {}
        """What to know of a component beyond the state of its pods."""
        self.spec = spec
        """What is in force, as the file has it."""
        self.directory = Path()
        """Of this run, private; removed at the end."""
        self._redis: int | None = None
        self._options = options
        self._machine = machine
        self._on_line = on_line
        self._signaling: dict[str, Object] = {}
        self._stack = AsyncExitStack()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def namespace(self) -> str:
        """The namespace of all objects."""
        return self.spec.namespace

    @property
    def port(self) -> int:
        """Where signaling and the page are."""
        return self._options.port

    async def __aenter__(self) -> Runtime:
        """Start everything; what is not there yet comes by itself.

        Raises:
            RuntimeStartError: the signaling port is taken.
            StateDirectoryError: there is no safe place for keys.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything; no process and no file is left."""
        await self._stack.aclose()

    async def follow(self, spec: SpecFile) -> None:
        """Take over an edited file: what it says no more is deleted.

        Raises:
            InvalidObjectError: an object is refused; those before it are in force.
        """
        before, self.spec = self.spec, spec
        await self._apply()
        for gone in {ref_of(obj) for obj in before.objects} - {ref_of(obj) for obj in spec.objects}:
            found = await self.store.get(gone)
            if found is not None:
                await self.store.delete(gone, uid=found["metadata"]["uid"])

    @property
    def url(self) -> str:
        """The page, for people."""
        return f"http://localhost:{self.port}"

    async def standing(self) -> dict[str, str]:
        """What there is to say of each component, and of the whole, at this moment."""
        said = lines(await self.store.list(POD, namespace=self.namespace), self.url)
        for callcluster in await self.store.list(CALL_CLUSTER, namespace=self.namespace):
            said |= to_do(callcluster)
        return said

    async def failed(self) -> None:
        """Wait for a bug in what keeps the deployment going; raises it."""
        await self._failed

    async def _start(self) -> None:
        service = Service(self._ready_ports)
        try:
            await service.listen(self._options.port)
        except OSError:
            raise RuntimeStartError(
                f"port {self._options.port} is in use by another program; choose another with --port N"
            ) from None
        self._stack.push_async_callback(service.close)
        state = state_directory(self._machine.state_base)
        self._stack.callback(_remove_if_empty, state)
        try:
            directory = Path(tempfile.mkdtemp(prefix=f"{self._options.port}-", dir=state))
        except OSError as error:
            raise RuntimeStartError(f"{state} can't hold files: {error.strerror}") from None
        self.directory = directory
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        guard = await Warden.start(directory)
        self._stack.push_async_callback(guard.stop)

        programs = InstalledPrograms(self._machine.search_path, self._options.without)
        self._redis = self._redis_port(programs)
        reports = ControlPorts()
        self._stack.push_async_callback(reports.close)
        await self._apply()
        reconciler = Reconciler(
            self.store,
            reports,
            _platform(self._options.port, self._redis),
            clock=time.time,
            entropy=lambda: secrets.token_bytes(64),
        )
        controller = Controller(self.store, reconciler, self.namespace)
        node = Node(
            self.store,
            registry=StoreRegistry(self.store),
            name=NODE_NAME,
            namespace=self.namespace,
            programs=programs,
            directory=directory / "pods",
            guard=guard,
            base_env={
                "PATH": self._machine.search_path,
                "LANG": "C.UTF-8",
                "CONTROL_HOST": HOST,
                "LISTEN_HOST": HOST,
            },
            fixed_ports={} if self._redis is None else {names.REDIS: self._redis},
            addresses={f"{HOST}:{REDIS_PORT}": f"{HOST}:{self._redis}"},
            on_line=self._on_line,
        )
        await self._stack.enter_async_context(node)

        def on_event(change: Change, obj: Object) -> None:
            self._track(change, obj)
            node.wake()
            controller.wake()

        self._stack.callback(self.store.subscribe(on_event))
        self._keep(controller.run())
        socket = ControlSocket(self.store, self.namespace, {"port": self._options.port, "pid": os.getpid()})
        try:
            await socket.start(directory)
        except OSError as error:
            raise RuntimeStartError(
                f"{directory} can't hold a socket: {error.strerror or error}; "
                "set XDG_RUNTIME_DIR to a short path with room for files"
            ) from None
        self._stack.push_async_callback(socket.stop)

    async def _apply(self) -> None:
        for obj in adapted(self.spec, self._options).objects:
            await self.store.apply(obj, field_manager=FILE_MANAGER)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        def on_end(ended: asyncio.Task[None]) -> None:
            error = None if ended.cancelled() else ended.exception()
            if error is not None and not self._failed.done():
                self._failed.set_exception(error)

        task.add_done_callback(on_end)
        self._stack.push_async_callback(asyncio.wait, [task])
        self._stack.callback(task.cancel)

    def _track(self, change: Change, obj: Object) -> None:
        if obj["kind"] != POD.kind or component_of(obj) != names.SIGNALING:
            return
        if change == "DELETED":
            self._signaling.pop(obj["metadata"]["uid"], None)
        else:
            self._signaling[obj["metadata"]["uid"]] = obj

    def _ready_ports(self) -> list[int]:
        return [
            next(
                int(port["containerPort"])
                for port in pod["spec"]["containers"][0]["ports"]
                if port.get("name") != names.CONTROL_PORT
            )
            for pod in self._signaling.values()
            if is_ready(pod)
        ]

    def _redis_port(self, programs: InstalledPrograms) -> int | None:
        """Where Redis will listen; ``None`` where there is none."""
        if not programs.has_redis():
            self.notes[names.REDIS] = (
                f"{programs.missing(names.REDIS, 'redis-server')}; one signaling process goes on without"
            )
            return None
        reservation = reserve(REDIS_PORT)
        if reservation is not None:
            self._stack.callback(reservation.close)
            return REDIS_PORT
        port = pick()
        self.notes[names.REDIS] = f"port {REDIS_PORT} is in use by another program; ours takes {port}"
        return port


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        pass  # another instance has its directory in it


def _platform(port: int, redis_port: int | None) -> Platform:
    return Platform(
        signaling_image="callcluster-signaling",
        turn_image="callcluster-turn",
        redis_image="redis",
        sfu_image="callcluster-sfu",
        service_host=HOST,
        signaling_port=port,
        redis_url="memory://" if redis_port is None else None,
    )
