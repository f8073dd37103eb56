"""Serves the web client: a few static files, with headers that keep the page to itself."""

from __future__ import annotations

import hashlib
import http
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served at all: files of other types are not found."""

DIRECTORIES = ("app", "sdk")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; "
    "font-src 'self'; connect-src 'self' ws: wss:; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
}


def plain(status: http.HTTPStatus, text: str, **headers: str) -> Response:
    """A short answer in plain text; underscores in header names stand for hyphens."""
    body = f"{text}\n".encode()
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return _response(status, body, {"Content-Type": "text/plain; charset=utf-8", **found})


def _response(
    status: http.HTTPStatus, body: bytes, headers: dict[str, str], length: int | None = None
) -> Response:
    fields = {
        "Content-Length": str(len(body) if length is None else length),
        "Connection": "close",
        **SECURITY_HEADERS,
        **headers,
    }
    return Response(status.value, status.phrase, Headers(fields), body)


class Site:
    """The files below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def answer(self, target: str, etag: str | None, *, head: bool = False) -> Response:
        """Answer a GET or HEAD.

        Args:
            target: the request target, query included.
            etag: the request's ``If-None-Match``.
            head: leave the body out.
        """
        path = self._locate(target)
        if path is None:
            return plain(http.HTTPStatus.NOT_FOUND, "not found")
        body = path.read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if etag is not None and tag in etag:
            return _response(http.HTTPStatus.NOT_MODIFIED, b"", headers)
        headers["Content-Type"] = TYPES[path.suffix]
        return _response(http.HTTPStatus.OK, b"" if head else body, headers, len(body))

    def _locate(self, target: str) -> Path | None:
        try:
            name = unquote(urlsplit(target).path)
        except ValueError:
            # What looks like a host in brackets and is none.
            return None
        if name == "/":
            name = "/app/index.html"
        elif name.endswith("/"):
            name += "index.html"
        parts = PurePosixPath(name).parts[1:]
        if not parts or parts[0] not in DIRECTORIES or "\0" in name or "\\" in name:
            return None
        try:
            path = self._root.joinpath(*parts).resolve()
            # Once more: by way of ".." a name may lead out of the directory that it begins with.
            inside = any(path.is_relative_to(self._root / directory) for directory in DIRECTORIES)
            found = inside and path.suffix in TYPES and path.is_file()
        except OSError:
            return None
        return path if found else None
