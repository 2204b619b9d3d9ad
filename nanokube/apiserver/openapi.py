"""OpenAPI over HTTP: negotiation, hashes, and the archive of documents, made by another process on first use.

Source: k8s.io/kube-openapi pkg/handler, pkg/handler3; RFC 9110 12.5.1, 13.1.2.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Mapping
from email.utils import formatdate
from typing import Final

import msgspec

from nanokube.api import errors
from nanokube.api.openapi import archive, gnostic
from nanokube.api.openapi.archive import Archive, Document
from nanokube.apiserver.aggregator.documents import Documents
from nanokube.apiserver.extensions.documents import Overlay
from nanokube.apiserver.extensions.kinds import Kinds
from nanokube.kit.http.message import Request, Response

log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_YEAR_S: Final = 365 * 86400
# what may be asked for -> (suffix of the document's name, type that is answered); the older form has an @
_V2_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    _JSON: ("", _JSON),
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf": (".pb", gnostic.CONTENT_TYPE),
    gnostic.CONTENT_TYPE: (".pb", gnostic.CONTENT_TYPE),
}
_V3_TYPES: Final[Mapping[str, tuple[str, str]]] = {_JSON: ("", _JSON)}


class OpenApi:
    """Answers the paths below /openapi/."""

    def __init__(self, kinds: Kinds | None = None, remotes: Documents | None = None) -> None:
        self._kinds = kinds or Kinds()
        self._remotes = remotes
        self._documents: Overlay | None = None
        self._lock = asyncio.Lock()

    def answer(self, request: Request, path: str) -> Response | Awaitable[Response]:
        """Answer a path. Raises ApiError (404)."""
        if self._documents is None:
            return self._build(request, path)
        return _answer(self._documents, request, path.removeprefix("/openapi/"))

    async def _build(self, request: Request, path: str) -> Response:
        """Answer after the archive is made. Raises ApiError (404, 503)."""
        async with self._lock:
            if self._documents is None:
                self._documents = Overlay(
                    await asyncio.to_thread(_made_elsewhere), self._kinds, self._remotes
                )
        return _answer(self._documents, request, path.removeprefix("/openapi/"))


def _made_elsewhere() -> Archive:
    """Build the archive in another process, which takes its memory along. Blocks. Raises ApiError (503)."""
    command = [sys.executable, "-m", archive.__name__]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return archive.decode(done.stdout)
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as err:
        log.warning("openapi documents not built: %s %s", err, getattr(err, "stderr", b"")[-500:])
        raise errors.ApiError("ServiceUnavailable", 503, "cannot build the OpenAPI documents") from err


def _answer(documents: Overlay, request: Request, name: str) -> Response:
    found = documents.find(name) if name != archive.V2_PROTOBUF else None
    if found is None:
        raise errors.no_such_path()
    if name == archive.V3:
        return _send(request, found, _JSON, ())
    choice = _choose(request.headers.get("accept"), _V2_TYPES if name == archive.V2 else _V3_TYPES)
    if choice is None:
        return Response(406, b"", "", [("Vary", "Accept")])
    suffix, content_type = choice
    document, extra = documents.find(name + suffix) or found, [("Vary", "Accept")]
    asked = request.query.get("hash") if name != archive.V2 else ""
    if asked and asked != document.etag:
        address = f"/openapi/{name}?hash={document.etag}"
        return Response(301, b"", "", [*extra, ("Location", address)])
    if asked:  # the address names the content, so it may be kept for ever
        expires = formatdate(time.time() + _YEAR_S, usegmt=True)
        extra += [("Cache-Control", "public, immutable"), ("Expires", expires)]
    return _send(request, document, content_type, extra)


def _choose(accept: str, offered: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Choose what is offered by the client's order of preference."""
    clauses = []
    for clause in (accept or "*/*").split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        clauses.append((-_quality(parameters), media))
    for _, media in sorted(clauses, key=lambda each: each[0]):
        if media in ("*/*", "application/*"):
            return offered[_JSON]
        if media in offered:
            return offered[media]
    return None


def _quality(parameters: list[str]) -> float:
    try:
        return next((float(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
    except ValueError:
        return 1.0


def _send(
    request: Request, document: Document, content_type: str, extra: list[tuple[str, str]] | tuple[()]
) -> Response:
    etag = f'"{document.etag}"'
    headers = [*extra, ("ETag", etag)]
    if request.headers.get("if-none-match") in (etag, "*"):
        return Response(304, b"", "", headers)
    headers.append(("Vary", "Accept-Encoding"))
    if "gzip" in request.headers.get("accept-encoding"):
        headers.append(("Content-Encoding", "gzip"))
        return Response(200, document.compressed, content_type, headers)
    return Response(200, document.plain(), content_type, headers)
