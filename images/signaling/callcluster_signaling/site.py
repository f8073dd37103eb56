"""Serves the web client: a few static files, with headers that keep the page to itself."""

from __future__ import annotations

import hashlib
import http
from pathlib import Path
from typing import NamedTuple
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
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only what the page needs: even a script that got in could talk to this server alone."""
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


class File(NamedTuple):
    """A file that is served."""

    body: bytes
    tag: str
    kind: str


class Site:
    """The files below one directory, as they were when the process started."""

    def __init__(self, root: Path) -> None:
        root = root.resolve()
        self._files: dict[str, File] = {}
        for directory in DIRECTORIES:
            for path in sorted((root / directory).rglob("*")):
                # A link may lead out of the directory.
                inside = path.resolve().is_relative_to(root / directory)
                if inside and path.suffix in TYPES and path.is_file():
                    body = path.read_bytes()
                    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                    self._files["/" + path.relative_to(root).as_posix()] = File(
                        body, tag, TYPES[path.suffix]
                    )

    def answer(self, target: str, etag: str | None, *, head: bool = False) -> Response:
        """Answer a GET or HEAD.

        Args:
            target: the request target, query included.
            etag: the request's ``If-None-Match``.
            head: leave the body out.
        """
        file = self._find(target)
        if file is None:
            return plain(http.HTTPStatus.NOT_FOUND, "not found")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if etag is not None and file.tag in etag:
            return _response(http.HTTPStatus.NOT_MODIFIED, b"", headers)
        headers["Content-Type"] = file.kind
        return _response(http.HTTPStatus.OK, b"" if head else file.body, headers, len(file.body))

    def _find(self, target: str) -> File | None:
        try:
            name = unquote(urlsplit(target).path)
        except ValueError:
            # What looks like a host in brackets and is none.
            return None
        if name == "/":
            name = "/app/"
        if name.endswith("/"):
            name += "index.html"
        return self._files.get(name)
