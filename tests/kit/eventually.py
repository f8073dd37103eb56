"""Waits for conditions, so that no test sleeps and hopes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], *, within: float = ..., every: float = ...
) -> T: ...


@overload
async def eventually(check: Callable[[], T], *, within: float = ..., every: float = ...) -> T: ...


async def eventually(check: Callable[[], Any], *, within: float = 30.0, every: float = 0.05) -> Any:
    """What ``check`` returns as soon as it is true; its last ``AssertionError`` when time is up."""
    deadline = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        try:
            result = check()
            if isinstance(result, Awaitable):
                result = await result
            if result:
                return result
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not within {within} s: {check}")
        await asyncio.sleep(every)
