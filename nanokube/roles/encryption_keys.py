"""The file with the keys of values at rest, as nanokube makes and changes it. Pure, but for randomness.

It is an EncryptionConfiguration, and may be edited by hand. A rotation is told by it alone, so that one that
was interrupted goes on:

    one key ──new key first──> two keys: all is written again by the first ──the old dropped──> one key
"""

import base64
import datetime
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from nanokube.roles import config as node_config
from nanokube.storage.encryption import configuration

FILE: Final = "encryption.yaml"  # below pki/
KIND: Final = "aesgcm"
SIZE_BYTES: Final = 32
_NAME: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_HEAD: Final = "# Keys of what is encrypted in the store: without them a backup's Secrets cannot be read.\n"

Document = dict[str, Any]


def path(config: node_config.NodeConfig) -> Path:
    """Return where a server's file is."""
    return config.paths.pki / FILE


def fresh(now: datetime.datetime) -> Document:
    """Make the document of a new cluster: Secrets by a key of its own; what is plain is read."""
    return {
        "apiVersion": configuration.API_VERSION,
        "kind": configuration.KIND,
        "resources": [
            {"resources": ["secrets"], "providers": [{KIND: {"keys": [_key(now)]}}, {"identity": {}}]}
        ],
    }


def render(document: Document) -> bytes:
    """Write a document down."""
    return (_HEAD + yaml.safe_dump(document, sort_keys=False)).encode()


def read(text: bytes) -> Document:
    """Read a document that was checked."""
    found: Document = yaml.safe_load(text)
    return found


def is_rotating(document: Document) -> bool:
    """Tell whether old keys are kept beside new ones."""
    return any(len(keys) > 1 for keys in _writing(document))


def can_rotate(document: Document) -> bool:
    """Tell whether there are keys that encrypt, in the file itself."""
    return any(True for _ in _writing(document))


def with_new_keys(document: Document, now: datetime.datetime) -> Document:
    """Put a new key before the one that encrypts, wherever there is one."""
    changed = read(render(document))
    for keys in _writing(changed):
        keys.insert(0, _key(now))
    return changed


def with_later_keys(document: Document, now: datetime.datetime) -> Document:
    """Put a new key behind the one that encrypts: it can be read by, not yet written."""
    changed = read(render(document))
    for keys in _writing(changed):
        keys.append(_key(now))
    return changed


def with_newest_keys_first(document: Document) -> Document:
    """Have the newest key encrypt; keys that were named by hand stay behind it, in their order."""
    changed = read(render(document))
    for keys in _writing(changed):
        keys.sort(key=_made, reverse=True)
    return changed


def without_old_keys(document: Document) -> Document:
    """Keep only the keys that encrypt."""
    changed = read(render(document))
    for keys in _writing(changed):
        del keys[1:]
    return changed


def _writing(document: Document) -> Iterator[list[dict[str, str]]]:
    """Yield the keys of providers that encrypt: the first of each entry."""
    for entry in document["resources"]:
        for kind, provider in entry["providers"][0].items():
            if kind in configuration.KEY_BYTES and provider:
                yield provider["keys"]


def _key(now: datetime.datetime) -> dict[str, str]:
    """Names tell when, and never come again: so a missing key is told from a wrong one."""
    name = f"{now:%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"
    return {"name": name, "secret": base64.b64encode(os.urandom(SIZE_BYTES)).decode()}


def _made(key: Mapping[str, str]) -> str:
    return key["name"] if _NAME.fullmatch(key["name"]) else ""
