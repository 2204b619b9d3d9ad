"""The token by which a list goes on: its version, and the key where the next page begins. Pure.

Source: staging apiserver pkg/storage/continue.go, whose words these refusals are; Go's encoding/base64.
"""

from __future__ import annotations

import base64
import posixpath
import re
from typing import Any, Final

import orjson

from nanokube.api import errors, schema

_VERSION: Final = "meta.k8s.io/v1"
_FOREIGN: Final = re.compile(rb"[^A-Za-z0-9_-]")


def encode(revision: int, start: str) -> str:
    """Write a token. revision -1: go on with what there is then."""
    body = orjson.dumps({"v": _VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def decode(token: str) -> tuple[int, str]:
    """Read revision and key from a token. Raises ApiError (400)."""
    try:
        found: Any = schema.parse_json(_bytes(token))
        return _checked(found if type(found) is dict else {})
    except ValueError as err:
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {err}") from err


def _bytes(token: str) -> bytes:
    """Decode base64 of URLs without padding, which Go ignores line ends in."""
    text = token.encode().replace(b"\r", b"").replace(b"\n", b"")
    foreign = _FOREIGN.search(text)
    if foreign is not None or len(text) % 4 == 1:
        at = foreign.start() if foreign is not None else len(text) - 1
        raise ValueError(f"illegal base64 data at input byte {at}")
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _checked(found: dict[str, Any]) -> tuple[int, str]:
    version, revision, start = found.get("v") or "", found.get("rv") or 0, found.get("start") or ""
    if type(version) is not str or type(revision) is not int or type(start) is not str:
        raise ValueError("a field is of another type")
    if version != _VERSION:
        raise ValueError(f"server does not recognize this encoded version {version}")
    if revision == 0:
        raise ValueError(f"incorrect encoded start resourceVersion (version {_VERSION})")
    if not start:
        raise ValueError(f"encoded start key empty (version {_VERSION})")
    key = start if start.startswith("/") else f"/{start}"
    if key != posixpath.normpath(key):
        raise ValueError(f"{start}")
    return revision, start
