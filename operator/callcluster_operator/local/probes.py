"""Asks a container how it is, as its pod's probes say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp

HOST = "127.0.0.1"


async def ask(
    session: aiohttp.ClientSession,
    probe: Mapping[str, Any],
    container: Mapping[str, Any],
    put_right: Callable[[str], str],
    env: Mapping[str, str],
) -> str | None:
    """Run one probe; ``None`` when all is well, otherwise what is wrong.

    Args:
        session: for probes by HTTP.
        probe: as the container has it.
        container: the pod's.
        put_right: gives a path of the container as it is on this machine.
        env: of a probe by command.
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
            if "exec" in probe:
                return await _run([put_right(word) for word in probe["exec"]["command"]], env)
            target = port_of(probe["tcpSocket"]["port"], container)
            _, writer = await asyncio.open_connection(HOST, target)
            writer.close()
            return None
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except (OSError, aiohttp.ClientError):
        return "does not listen yet"


async def _run(command: Sequence[str], env: Mapping[str, str]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return None
    return output.decode(errors="replace").strip()[:200] or "its readiness is not known yet"


def port_of(port: int | str, container: Mapping[str, Any]) -> int:
    """A port by number or by the name that the container gives it."""
    if isinstance(port, int):
        return port
    return next(int(each["containerPort"]) for each in container["ports"] if each.get("name") == port)
