"""From values to responses: Status, objects in the form asked for, warnings, gzip. Pure but for the clock."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from isal import igzip

from nanokube.api import cbor, errors, protobuf_encoder
from nanokube.api.errors import ApiError
from nanokube.apiserver.endpoints import negotiate, yaml_body
from nanokube.apiserver.endpoints.negotiate import CBOR, JSON, PROTOBUF, YAML, Form
from nanokube.apiserver.requestinfo import is_asked
from nanokube.kit.http.message import Fields, Parts, Request, Response, size_of

# Below this, compressing costs more than sending (staging apiserver, responsewriters/writers.go).
GZIP_FROM_BYTES: Final = 128 * 1024
MAX_WARNINGS_CHARS: Final = 4 * 1024
MAX_WARNING_CHARS: Final = 256
_BROWSERS: Final = re.compile(r"curl|Wget|Mozilla")
_PERSON: Final = "a person reads"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PRIVATE: Final = (("Cache-Control", "no-cache, private"),)


def failure(err: ApiError, request: Request | None = None) -> Response:
    """Answer an error as Status, in the encoding that the request asks for, or JSON."""
    body, media = orjson.dumps(err.to_status()) + b"\n", JSON
    if request is not None:
        with contextlib.suppress(ApiError):
            media = negotiate.form_of(request.headers.get("accept"), True).media
        body = b"".join(encoded(request, [body], Form(media)).parts)
    headers = list(_PRIVATE)
    if err.retry_after_s:
        headers.append(("Retry-After", str(err.retry_after_s)))
    headers.extend(_warnings(err.warnings))
    return Response(err.code, body, media, headers)


def success(resource_group: str, plural: str, name: str, uid: str = "") -> dict[str, Any]:
    """Build the Status of a deletion or a binding."""
    details = {"name": name, "group": resource_group, "kind": plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def encoded(
    request: Request, parts: Parts, form: Form, status: int = 200, warnings: Sequence[str] = ()
) -> Response:
    """Answer JSON bytes, in the encoding that form and request ask for."""
    if form.media == JSON and not warnings and not is_pretty(request) and size_of(parts) < GZIP_FROM_BYTES:
        return Response(status, parts, JSON, _PRIVATE)
    headers: Fields = _PRIVATE
    if warnings:
        headers = [*_PRIVATE, *_warnings(warnings)]
    if form.media == YAML:
        body = yaml_body.dump(orjson.loads(b"".join(parts)))
        return Response(status, body, YAML, headers)
    if form.media == PROTOBUF:
        return Response(status, _protobuf(orjson.loads(b"".join(parts))), PROTOBUF, headers)
    if form.media == CBOR:
        return Response(status, cbor.encode(orjson.loads(b"".join(parts))), CBOR, headers)
    if is_pretty(request):
        parts = [orjson.dumps(orjson.loads(b"".join(parts)), option=orjson.OPT_INDENT_2), b"\n"]
    elif "gzip" in request.headers.get("accept-encoding") and size_of(parts) >= GZIP_FROM_BYTES:
        parts = [igzip.compress(b"".join(parts), compresslevel=0, mtime=0)]
        headers = [*headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    return Response(status, parts, form.media, headers)


def _protobuf(tree: Mapping[str, Any]) -> bytes:
    try:
        return protobuf_encoder.encode(tree)
    except KeyError as err:
        raise errors.not_acceptable(("application/json", YAML)) from err


def document(
    request: Request,
    value: Mapping[str, Any],
    form: Form,
    status: int = 200,
    warnings: Sequence[str] = (),
) -> Response:
    """Answer a JSON tree."""
    return encoded(request, [orjson.dumps(value)], form, status, warnings)


def text(status: int, body: str) -> Response:
    """Answer plain text."""
    return Response(
        status, body.encode(), "text/plain; charset=utf-8", (("X-Content-Type-Options", "nosniff"),)
    )


def _warnings(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Make the headers of warnings: each once, and not more than clients and proxies take.

    Source: staging apiserver pkg/endpoints/filters/warning.go.
    """
    left = MAX_WARNINGS_CHARS
    if sum(map(len, texts)) > left:
        texts = [text[:MAX_WARNING_CHARS] for text in texts]
    for text in dict.fromkeys(texts):
        left -= len(text)
        if left < 0:
            return
        yield warning(text)


def warning(text: str) -> tuple[str, str]:
    """Make the header of a warning: a quoted string (RFC 9110 5.6.4), in UTF-8 as Go's server writes it.

    Upstream drops what has control characters, which its clients refuse; here they become spaces.
    """
    quoted = _CONTROLS.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
    return "Warning", f'299 - "{quoted}"'.encode().decode("latin-1")


def is_pretty(request: Request) -> bool:
    """Tell whether a person reads the answer: asked for, or a command line tool or browser."""
    if request.query.raw and "pretty" in request.query:
        return is_asked(request.query, "pretty")
    memo = request.headers.memo
    found: bool | None = memo.get(_PERSON)
    if found is None:
        found = memo[_PERSON] = _BROWSERS.match(request.headers.get("user-agent")) is not None
    return found
