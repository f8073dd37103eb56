"""Asks a container how it is, as its pod's probes say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

HOST = "127.0.0.1"


async def ask(
    session: aiohttp.ClientSession, probe: Mapping[str, Any], container: Mapping[str, Any]
) -> str | None:
    """Run one probe; ``None`` when all is well, otherwise what is wrong.

    A probe by command becomes a connection to the container's first port: its command lies in the image.
    """
    timeout = float(probe.get("timeoutSeconds", 1)) + 1
    try:
        async with asyncio.timeout(timeout):
            if "httpGet" in probe:
                wanted = probe["httpGet"]
                url = f"http://{HOST}:{port_of(wanted['port'], container)}{wanted.get('path', '/')}"
                async with session.get(url) as answer:
                    if answer.status < 400:
                        return None
                    return (await answer.text()).strip()[:200] or f"answers {answer.status}"
            target = probe.get("tcpSocket", {}).get("port", container["ports"][0]["containerPort"])
            _, writer = await asyncio.open_connection(HOST, port_of(target, container))
            writer.close()
            return None
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except (OSError, aiohttp.ClientError):
        return "does not listen yet"


def port_of(port: int | str, container: Mapping[str, Any]) -> int:
    """A port by number or by the name that the container gives it."""
    if isinstance(port, int):
        return port
    return next(int(each["containerPort"]) for each in container["ports"] if each.get("name") == port)
