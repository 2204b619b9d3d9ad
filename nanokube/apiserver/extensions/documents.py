"""OpenAPI documents of custom resources and extension servers, laid over those of the built-in ones. Pure.

The built-in documents have some 20 MB and take a second to make. What is added is spliced into them instead:
as JSON between the parts that were there, as protobuf behind them (a message that occurs twice is merged),
and compressed piece by piece, so that only what is new is compressed. That still takes up to some 0.2 s:
what is not there yet is handed out as work, which a thread can do.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from nanokube.api import openapi
from nanokube.api.custom import openapi as custom_openapi
from nanokube.api.openapi import archive, gnostic, schemas
from nanokube.api.openapi.archive import Archive, Document
from nanokube.api.resources import Resource
from nanokube.apiserver.aggregator.documents import Documents
from nanokube.apiserver.aggregator.openapi import Part
from nanokube.apiserver.extensions.kinds import Kinds

_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952 2.3: deflate, no name, no time
_END: Final = b"\x03\x00"  # RFC 1951 3.2.6: a last block with nothing in it
_MIDDLE: Final = b'},"definitions":{'
_DONOR: Final = "v3/apis/apps/v1"  # has all that documents of custom resources refer to, Scale too
_LIKE: Final = "io.k8s.api.apps.v1.Deployment"
_LEVEL: Final = 6


class _Piece:
    """Part of a document, compressed so that others can follow."""

    def __init__(self, plain: bytes) -> None:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
        self.packed = packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)

    def plain(self) -> bytes:
        """Return the bytes."""
        return zlib.decompressobj(-15).decompress(self.packed)


@dataclass(frozen=True, slots=True)
class Work:
    """A document that is to be made. build: for one thread at a time."""

    name: str
    state: tuple[int, int]
    build: Callable[[], Document]


class Overlay:
    """The documents as they are now: built in, custom, of others. base: the built-in ones."""

    def __init__(self, base: Archive, kinds: Kinds, remotes: Documents | None = None) -> None:
        self._base = base
        self._kinds = kinds
        self._remotes = remotes
        self._generation = (-1, -1)
        self._custom: Sequence[Resource] = ()
        self._groups: Mapping[str, tuple[str, Sequence[Resource]]] = {}  # by name: etag, what is in it
        self._documents: dict[str, Document] = {}
        self._older: dict[str, tuple[Part, Document]] = {}  # of extension servers, by name
        self._index: Document | None = None
        self._spliced: dict[str, Document] = {}
        self._pieces: dict[str, list[_Piece]] = {}
        self._known: tuple[custom_openapi.Descriptions, Mapping[str, Any]] | None = None

    def find(self, name: str) -> Document | Work | None:
        """Return a document by its name in the archive, or what makes it."""
        if self._state() != self._generation:
            self._refresh()
        if name in (archive.V2, archive.V2_PROTOBUF) and (self._custom or self._parts()):
            return self._spliced.get(name) or self._splicing(name)
        if name == archive.V3 and self._index is not None:
            return self._index
        if name in self._older:
            return self._older[name][1]
        return self._of_group(name) if name in self._groups else self._base.get(name)

    def keep(self, work: Work, made: Document) -> None:
        """Keep what work has made, unless the kinds changed meanwhile."""
        if work.state != self._generation:
            return
        if work.name in self._groups:
            self._documents[work.name] = made
        else:
            self._spliced[work.name] = made

    def _state(self) -> tuple[int, int]:
        return self._kinds.generation, self._remotes.openapi_generation if self._remotes else 0

    def _parts(self) -> Sequence[Part]:
        return self._remotes.openapi_parts() if self._remotes else ()

    def _refresh(self) -> None:
        """Note what there is to document, and make the index."""
        self._generation = self._state()
        self._custom = [self._whole(each) for each in self._kinds.all() if each.custom is not None]
        self._spliced = {}
        by_name: dict[str, list[Resource]] = {}
        for resource in self._custom:
            name = f"{archive.V3}/{openapi.key(resource.group, resource.version)}"
            if name not in self._base:
                by_name.setdefault(name, []).append(resource)
        self._groups = {name: (self._etag(found), found) for name, found in by_name.items()}
        self._documents = {name: each for name, each in self._documents.items() if name in by_name}
        self._index = None
        addresses = self._remotes.openapi_addresses() if self._remotes else {}
        self._older = dict(self._converted())
        if self._groups or addresses or self._older:
            prefix = f"{archive.V3}/"
            etags = {n: document.etag for n, document in self._base.items() if n.startswith(prefix)}
            etags |= {name: etag for name, (etag, _) in self._groups.items()}
            etags |= {name: document.etag for name, (_, document) in self._older.items()}
            named = {name.removeprefix(prefix): etag for name, etag in etags.items()}
            self._index = archive.pack(openapi.v3_index(named, addresses))

    def _converted(self) -> Iterator[tuple[str, tuple[Part, Document]]]:
        """Encode documents of version 3 of who has version 2 alone, unless they are there."""
        parts = self._remotes.openapi_older() if self._remotes else {}
        for key, part in parts.items():
            name = f"{archive.V3}/{key}"
            known = self._older.get(name)
            if known is not None and known[0] is part:
                yield name, known
            else:
                yield name, (part, archive.pack(openapi.v3_of(part.paths, part.definitions)))

    def _whole(self, resource: Resource) -> Resource:
        """Give a resource with all its verbs, which are not listed while its definition ends."""
        return self._kinds.definition_of(resource).versions[resource.version]

    def _etag(self, found: Sequence[Resource]) -> str:
        """Tell a document from others by what it is made of: the index must not wait for all to be made."""
        digest = hashlib.sha256(self._base[_DONOR].etag.encode())
        for resource in found:
            digest.update(f"{resource.plural}/".encode() + self._kinds.definition_of(resource).digest)
        return digest.hexdigest().upper()

    def _of_group(self, name: str) -> Document | Work:
        etag, found = self._groups[name]
        known = self._documents.get(name)
        if known is not None and known.etag == etag:
            return known
        return Work(name, self._generation, lambda: msgspec.structs.replace(self._v3(found), etag=etag))

    def _splicing(self, name: str) -> Work:
        custom, parts = self._custom, self._parts()  # as they are now, whatever comes while the thread works
        return Work(name, self._generation, lambda: self._splice(name, custom, parts))

    def _v3(self, found: Sequence[Resource]) -> Document:
        """Build the document of one group-version."""
        paths: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        said, shared = self._common()
        for resource in found:
            more = custom_openapi.v3(resource, said)
            paths |= more[0]
            definitions |= more[1]
        return archive.pack(openapi.v3_of(paths, {**shared, **definitions}))

    def _common(self) -> tuple[custom_openapi.Descriptions, Mapping[str, Any]]:
        """Take what custom resources have in common with built-in ones from a document of those."""
        if self._known is None:
            known = orjson.loads(self._base[_DONOR].plain())["components"]["schemas"]
            self._known = _descriptions(known), _shared(known)
        return self._known

    def _splice(self, name: str, custom: Sequence[Resource], parts: Sequence[Part]) -> Document:
        """Add what is custom, and of others, to the one document of everything."""
        paths: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        said, _ = self._common()
        for resource in custom:
            more = custom_openapi.v2(resource, said)
            paths |= more[0]
            definitions |= more[1]
        paths, definitions = self._with_parts(paths, definitions, parts)
        pieces = self._pieces.get(name)
        if pieces is None:
            whole = self._base[name].plain()
            pieces = self._pieces[name] = [_Piece(part) for part in _cut(name, whole)]
        added: list[bytes]
        if name == archive.V2_PROTOBUF:
            added = [gnostic.encode({"paths": paths, "definitions": definitions})]
        else:
            outer, inner = orjson.dumps(paths)[1:-1], orjson.dumps(definitions)[1:-1]
            added = [(b"," + outer if outer else b"") + _MIDDLE + (inner + b"," if inner else b"")]
        etag = hashlib.sha256(self._base[name].etag.encode() + b"".join(added)).hexdigest().upper()
        return Document(etag, _join([pieces[0], *map(_Piece, added), *pieces[1:]]))

    def _with_parts(
        self, paths: dict[str, Any], definitions: dict[str, Any], parts: Sequence[Part]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add what extension servers say; of definitions of one name ours is taken, or the first."""
        if not parts:
            return paths, definitions
        whole = self._base[archive.V2].plain()
        for part in parts:
            paths = {**part.paths, **paths}
            new = {name: each for name, each in part.definitions.items() if name not in definitions}
            definitions |= {
                name: each for name, each in new.items() if b'"%b":{' % name.encode() not in whole
            }
        return paths, definitions


def _cut(name: str, whole: bytes) -> list[bytes]:
    """Cut a document where something goes in: protobuf at its end, JSON between paths and definitions."""
    if name == archive.V2_PROTOBUF:
        return [whole]
    at = whole.index(_MIDDLE)
    return [whole[:at], whole[at + len(_MIDDLE) :]]


def _join(pieces: Sequence[_Piece]) -> bytes:
    """Make one gzip member of pieces."""
    checksum, size = 0, 0
    for piece in pieces:
        plain = piece.plain()
        checksum, size = zlib.crc32(plain, checksum), size + len(plain)
    tail = struct.pack("<II", checksum, size & 0xFFFFFFFF)
    return b"".join((_HEADER, *(piece.packed for piece in pieces), _END, tail))


def _descriptions(known: Mapping[str, Any]) -> custom_openapi.Descriptions:
    own, listed = (known[name]["properties"] for name in (_LIKE, f"{_LIKE}List"))
    texts = (own["apiVersion"], own["kind"], own["metadata"], listed["metadata"])
    return custom_openapi.Descriptions(*(each.get("description", "") for each in texts))


def _shared(known: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    todo = [name for name in custom_openapi.SHARED if name in known]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = known[name]
            todo += (ref for ref in _references(known[name]) if ref in known)
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        ref = value.get("$ref")
        if isinstance(ref, str):
            yield ref.removeprefix(schemas.V3_PREFIX)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
