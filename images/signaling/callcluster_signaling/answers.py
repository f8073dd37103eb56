"""Frames that answer requests, encoded."""

from __future__ import annotations

import msgspec
from callcluster_common.messages import server
from callcluster_common.messages.types import ERRORS

encode = msgspec.json.Encoder().encode


def error(
    re: str | None,
    code: str,
    message: str = "",
    retry_after: float | None = None,
    following: server.Next | None = None,
) -> bytes:
    """An ``error`` frame, in the words of ``ERRORS`` where no better ones are given."""
    known = ERRORS[code]
    data = server.ErrorData(
        code=code,
        message=message or known.meaning,
        retryable=known.retryable,
        retry_after_ms=None if retry_after is None else int(retry_after * 1000) + 1,
        next=following,
    )
    return encode(server.Error(re=re, d=data))


def ok(re: str) -> bytes:
    """The ``ok`` frame."""
    return b'{"t":"ok","re":%b,"d":{}}' % encode(re)
