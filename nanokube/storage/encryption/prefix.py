"""What is told by a stored value's prefix, and by its key, without any secret. Pure."""

from __future__ import annotations

from typing import Final

ENCRYPTED: Final = b"k8s:enc:"
ROOT: Final = "/registry/"


def resource_of(place: str) -> str:
    """Name the resource of a key of the store; "" if it is none.

    >>> resource_of("/registry/secrets/default/token"), resource_of(".nanokube/offset")
    ('secrets', '')
    """
    return place[len(ROOT) :].partition("/")[0] if place.startswith(ROOT) else ""


def prefix_of(stored: bytes) -> bytes:
    """Give what stands before an encrypted value; b"" of a plain one.

    >>> prefix_of(b"k8s:enc:aesgcm:v1:key1:..."), prefix_of(b"{}")
    (b'k8s:enc:aesgcm:v1:key1:', b'')
    """
    if not stored.startswith(ENCRYPTED):
        return b""
    end = 0
    for _ in range(5):
        end = stored.find(b":", end) + 1
        if not end:
            return ENCRYPTED
    return stored[:end]


def spoken(prefix: bytes) -> str:
    """Say a prefix in words.

    >>> spoken(b"k8s:enc:aesgcm:v1:key1:"), spoken(b"")
    ('aesgcm key key1', 'nothing')
    """
    if not prefix:
        return "nothing"
    parts = prefix.decode(errors="replace").split(":")
    if len(parts) < 5:
        return "an unknown way"
    return f"kms plugin {parts[4]}" if parts[2] == "kms" else f"{parts[2]} key {parts[4]}"
