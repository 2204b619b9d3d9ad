"""All OpenAPI documents at once, compressed: built in a process of its own, whose memory goes with it. Pure.

`python -m nanokube.api.openapi.archive` writes the archive on standard output. Building takes some 15 MB
that an allocator would not give back to the system; the archive is one of them.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import orjson

from nanokube.api import openapi
from nanokube.api.openapi import gnostic
from nanokube.api.resources import ALL, Resource

V2: Final = "v2"
V2_PROTOBUF: Final = "v2.pb"
V3: Final = "v3"
_LEVEL: Final = 6


class Document(msgspec.Struct, frozen=True):
    """One document: its hash and its bytes after gzip."""

    etag: str
    compressed: bytes

    def plain(self) -> bytes:
        """Return the bytes before gzip."""
        return gzip.decompress(self.compressed)


Archive = Mapping[str, Document]


def build(resources: Sequence[Resource] = ALL) -> Archive:
    """Build all documents: `v2`, `v2.pb`, `v3` (the index), `v3/api/v1` and the like."""
    swagger = openapi.v2_document(resources)
    found = {V2: pack(swagger), V2_PROTOBUF: pack(gnostic.encode(orjson.loads(swagger)))}
    etags: dict[str, str] = {}
    for key, body in openapi.v3_documents(resources).items():
        found[f"{V3}/{key}"] = pack(body)
        etags[key] = found[f"{V3}/{key}"].etag
    found[V3] = pack(openapi.v3_index(etags))
    return found


def encode(archive: Archive) -> bytes:
    """Write an archive."""
    return msgspec.msgpack.encode(archive)


def decode(body: bytes) -> Archive:
    """Read an archive. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(body, type=dict[str, Document])


def pack(body: bytes) -> Document:
    """Hash and compress a document."""
    return Document(hashlib.sha256(body).hexdigest().upper(), gzip.compress(body, _LEVEL, mtime=0))


if __name__ == "__main__":
    sys.stdout.buffer.write(encode(build()))
