"""Which images the store knows and by which names: pure changes of an immutable table, and its JSON form."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cri.images import errors
from cri.images.reference import DIGEST, Reference

_PREFIX_HEX_MIN = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One image as it is kept on disk.

    blobs: manifests and index it came from, config not among them. is_pinned: garbage collection spares it.
    """

    id: str
    layers: tuple[str, ...]
    size_bytes: int
    blobs: tuple[str, ...] = ()
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    is_pinned: bool = False


Catalog = Mapping[str, Record]  # by ID


def find(catalog: Catalog, text: str) -> Record | None:
    """Find by ID (with or without `sha256:`), tag, digest reference, or unique prefix of an ID."""
    exact = catalog.get(text) or catalog.get("sha256:" + text)
    if exact is not None:
        return exact
    by_name = _find_name(catalog, text)
    return by_name or _find_prefix(catalog, text)


def _find_name(catalog: Catalog, text: str) -> Record | None:
    if DIGEST.fullmatch(text):
        return None
    try:
        wanted = Reference.parse(text)
    except errors.ImageError:
        return None
    name = wanted.with_digest(wanted.digest) if wanted.digest else str(wanted)
    for record in catalog.values():
        if name in record.repo_tags or name in record.repo_digests:
            return record
    return None


def _find_prefix(catalog: Catalog, text: str) -> Record | None:
    prefix = text.removeprefix("sha256:")
    if len(prefix) < _PREFIX_HEX_MIN or set(prefix) - set("0123456789abcdef"):
        return None
    matches = [record for record in catalog.values() if record.id[7:].startswith(prefix)]
    return matches[0] if len(matches) == 1 else None


def add(catalog: Catalog, new: Record) -> Catalog:
    """Add an image or the names of one; a tag moves from the image that had it.

    An image left without any name by that stays, nameless, until it is removed (as `docker images` shows it).
    """
    old = catalog.get(new.id)
    others = {
        record.id: _without_tags(record, new.repo_tags) for record in catalog.values() if record.id != new.id
    }
    if old is not None:
        new = dataclasses.replace(
            new,
            blobs=_union(old.blobs, new.blobs),
            repo_tags=_union(old.repo_tags, new.repo_tags),
            repo_digests=_union(old.repo_digests, new.repo_digests),
            is_pinned=old.is_pinned or new.is_pinned,
        )
    return {**others, new.id: new}


def remove(catalog: Catalog, image_id: str) -> Catalog:
    return {record.id: record for record in catalog.values() if record.id != image_id}


def layers(catalog: Catalog) -> set[str]:
    """Return the chain IDs that some image needs."""
    return {chain_id for record in catalog.values() for chain_id in record.layers}


def blobs(catalog: Catalog) -> set[str]:
    """Return the digests of the documents that some image needs."""
    return {digest for record in catalog.values() for digest in (record.id, *record.blobs)}


def encode(catalog: Catalog) -> bytes:
    return json.dumps({"version": 1, "images": [dataclasses.asdict(r) for r in catalog.values()]}).encode()


def decode(data: bytes) -> Catalog:
    """Read what encode() wrote. Raises ValueError, KeyError or TypeError."""
    return {entry["id"]: _record(entry) for entry in json.loads(data)["images"]}


def _record(entry: Mapping[str, Any]) -> Record:
    names = ("layers", "blobs", "repo_tags", "repo_digests")
    return Record(
        id=entry["id"],
        size_bytes=int(entry["size_bytes"]),
        is_pinned=bool(entry.get("is_pinned")),
        **{name: tuple(entry[name]) for name in names},
    )


def _without_tags(record: Record, tags: Iterable[str]) -> Record:
    return dataclasses.replace(record, repo_tags=tuple(tag for tag in record.repo_tags if tag not in tags))


def _union(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*left, *right}))
