"""OpenAPI over HTTP: negotiation, hashes, and the archive of documents, which another process makes ahead.

Source: k8s.io/kube-openapi pkg/handler, pkg/handler3; RFC 9110 12.5.1, 13.1.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from email.utils import formatdate
from typing import Final

import msgspec
import orjson

from nanokube.api import errors
from nanokube.api.openapi import archive, gnostic, gnostic_v3
from nanokube.api.openapi.archive import Archive, Document
from nanokube.apiserver.aggregator.documents import Documents
from nanokube.apiserver.extensions.documents import Overlay, Work
from nanokube.apiserver.extensions.kinds import Kinds
from nanokube.kit.http.message import Request, Response

log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_YEAR_S: Final = 365 * 86400
_AHEAD_S: Final = 5.0  # after the start, whose own work goes first
# what may be asked for -> (suffix of the document's name, type that is answered); the older form has an @
_V2_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    _JSON: ("", _JSON),
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf": (".pb", gnostic.CONTENT_TYPE),
    gnostic.CONTENT_TYPE: (".pb", gnostic.CONTENT_TYPE),
}
_V3_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    _JSON: ("", _JSON),
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf": (".pb", gnostic_v3.CONTENT_TYPE),
    gnostic_v3.CONTENT_TYPE: (".pb", gnostic_v3.CONTENT_TYPE),
}


class OpenApi:
    """Answers the paths below /openapi/."""

    def __init__(self, kinds: Kinds | None = None, remotes: Documents | None = None) -> None:
        self._kinds = kinds or Kinds()
        self._remotes = remotes
        self._documents: Overlay | None = None
        self._encoded: dict[str, Document] = {}  # version 3 in protobuf, by the name of the JSON document
        self._lock = asyncio.Lock()

    def answer(self, request: Request, path: str) -> Response | Awaitable[Response]:
        """Answer a path. Raises ApiError (404)."""
        if self._documents is None:
            return self._build(request, path)
        return self._answer(self._documents, request, path.removeprefix("/openapi/"))

    async def prepare(self, after_s: float = _AHEAD_S) -> None:
        """Make the archive soon, unasked: the first kubectl apply would wait most of a second for it."""
        await asyncio.sleep(after_s)
        with contextlib.suppress(errors.ApiError):  # is in the log; who asks tries again
            await self._made()

    async def _made(self) -> Overlay:
        async with self._lock:
            if self._documents is None:
                self._documents = Overlay(
                    await asyncio.to_thread(_made_elsewhere), self._kinds, self._remotes
                )
        return self._documents

    async def _build(self, request: Request, path: str) -> Response:
        """Answer after the archive is made. Raises ApiError (404, 503)."""
        answer = self._answer(await self._made(), request, path.removeprefix("/openapi/"))
        return answer if isinstance(answer, Response) else await answer

    def _answer(self, documents: Overlay, request: Request, name: str) -> Response | Awaitable[Response]:
        found = documents.find(name) if name != archive.V2_PROTOBUF else None
        if found is None:
            raise errors.no_such_path()
        is_v2 = name == archive.V2
        choice = _choose(request.headers.get("accept"), _V2_TYPES if is_v2 else _V3_TYPES)
        if name == archive.V3:
            choice = "", _JSON
        if choice is None:
            return Response(406, b"", "", [("Vary", "Accept")])
        if is_v2 and choice[0]:
            found = documents.find(name + choice[0])
        if isinstance(found, Document):
            return self._convey(request, name, found, choice)
        return self._make(documents, request, name, choice)

    async def _make(
        self, documents: Overlay, request: Request, name: str, choice: tuple[str, str]
    ) -> Response:
        """Answer after a document is made, once for all who wait. Raises ApiError (404)."""
        wanted = name + choice[0] if name == archive.V2 else name
        async with self._lock:
            found = documents.find(wanted)
            if isinstance(found, Work):
                made = await asyncio.to_thread(found.build)
                documents.keep(found, made)
                found = made
        if found is None:  # the last kind of its group went while we waited
            raise errors.no_such_path()
        answer = self._convey(request, name, found, choice)
        return answer if isinstance(answer, Response) else await answer

    def _convey(
        self, request: Request, name: str, found: Document, choice: tuple[str, str]
    ) -> Response | Awaitable[Response]:
        suffix, content_type = choice
        if name == archive.V3:
            return _send(request, found, content_type, ())
        if name == archive.V2:
            return _send(request, found, content_type, (("Vary", "Accept"),))
        if not suffix:
            return _send_hashed(request, name, found, content_type)
        known = self._encoded.get(name)
        if known is not None and known.etag == found.etag:
            return _send_hashed(request, name, known, content_type)
        return self._encode(request, name, found, content_type)

    async def _encode(self, request: Request, name: str, found: Document, content_type: str) -> Response:
        """Answer after a document of version 3 is in protobuf. Raises ApiError (503)."""
        async with self._lock:
            known = self._encoded.get(name)
            if known is None or known.etag != found.etag:
                known = self._encoded[name] = await asyncio.to_thread(_in_protobuf, name, found)
        return _send_hashed(request, name, known, content_type)


def _in_protobuf(name: str, document: Document) -> Document:
    """Encode a document of version 3, whose hash it keeps. Blocks for some 30 ms. Raises ApiError (503)."""
    try:
        body = gnostic_v3.encode(orjson.loads(document.plain()))
    except (gnostic_v3.Unknown, AttributeError, TypeError, ValueError) as err:
        log.warning("openapi document not encoded: name=%s error=%s", name, err)
        raise errors.ApiError("ServiceUnavailable", 503, f"cannot encode {name} in protobuf") from err
    return msgspec.structs.replace(archive.pack(body), etag=document.etag)


def _made_elsewhere() -> Archive:
    """Build the archive in another process, which takes its memory along. Blocks. Raises ApiError (503)."""
    command = [sys.executable, "-m", archive.__name__]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return archive.decode(done.stdout)
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as err:
        log.warning("openapi documents not built: %s %s", err, getattr(err, "stderr", b"")[-500:])
        raise errors.ApiError("ServiceUnavailable", 503, "cannot build the OpenAPI documents") from err


def _send_hashed(request: Request, name: str, document: Document, content_type: str) -> Response:
    """Send a document of version 3, whose address may name its hash."""
    extra = [("Vary", "Accept")]
    asked = request.query.get("hash")
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
    request: Request, document: Document, content_type: str, extra: Sequence[tuple[str, str]]
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
