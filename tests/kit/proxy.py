"""A proxy in front of the API server: sees every write of a client, and can strike at any of them."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

Moment = Literal["before", "after"]
"""Before a write reaches the API server, or after it was done and before the client knows."""

OnWrite = Callable[[str, str, Moment], bool]
"""Told method and path of each write, at both moments; ``True`` drops the connection there and then."""


class Proxy:
    """Forwards to the API server of a kubeconfig. Use as an asynchronous context manager.

    Args:
        kubeconfig: of whom it takes server and authority; the client's own token is passed on.
        directory: where ``kubeconfig`` of this proxy is written.
        on_write: see :data:`OnWrite`; leases and their like are not told of.
    """

    def __init__(self, kubeconfig: Path, directory: Path, on_write: OnWrite) -> None:
        self._config: dict[str, Any] = json.loads(kubeconfig.read_text())
        self._on_write = on_write
        self._server = web.Server(self._forward)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        self._session: aiohttp.ClientSession | None = None
        self.kubeconfig = directory / "proxy.kubeconfig"

    async def __aenter__(self) -> Proxy:
        cluster = self._config["clusters"][0]["cluster"]
        self._upstream = str(cluster["server"])
        authority = _decoded(cluster["certificate-authority-data"])
        context = ssl.create_default_context(cadata=authority)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self._config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        self.kubeconfig.write_text(json.dumps(self._config))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()
        await self._runner.cleanup()

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._session is not None
        is_write = request.method not in ("GET", "HEAD") and "/leases" not in request.path
        if is_write and self._on_write(request.method, request.path, "before"):
            return _drop(request)
        headers = _end_to_end(request.headers)
        body = await request.read()
        async with self._session.request(
            request.method, self._upstream + request.raw_path, headers=headers, data=body or None
        ) as answer:
            if is_write:
                await answer.read()
                if self._on_write(request.method, request.path, "after"):
                    return _drop(request)
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            try:
                await response.prepare(request)
                if is_write:
                    await response.write(await answer.read())
                else:
                    async for chunk in answer.content.iter_any():
                        await response.write(chunk)
                await response.write_eof()
            except (ConnectionError, aiohttp.ClientError, asyncio.IncompleteReadError):
                pass  # one of the two sides has gone; so does the other
            return response


_HOP_BY_HOP = frozenset({"connection", "host", "transfer-encoding", "content-length", "keep-alive"})


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _drop(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
