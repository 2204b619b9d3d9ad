"""Images and credentials between the store's values and CRI's messages. Pure."""

import base64
import binascii
from urllib.parse import urlsplit

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.images.image import Auth, Image


def message(image: Image) -> pb.Image:
    """Return an image as CRI shows it: the same for every reference that finds it."""
    uid, username = user(str(image.process.get("User") or ""))
    shown = pb.Image(
        id=image.id,
        repo_tags=image.repo_tags,
        repo_digests=image.repo_digests,
        size=image.size_bytes,
        username=username,
        pinned=image.pinned,
    )
    if uid is not None:
        shown.uid.value = uid
    return shown


def user(text: str) -> tuple[int | None, str]:
    """Split an image config's User into uid and user name; the group does not matter here.

    >>> user("1002:users"), user("www-data"), user("")
    ((1002, ''), (None, 'www-data'), (None, ''))
    """
    name = text.partition(":")[0]
    if name.isascii() and name.isdigit():
        return int(name), ""
    return None, name


def auth(config: pb.AuthConfig, reference: str) -> Auth | None:
    """Return the credentials of a pull; None if there are none or they are another registry's.

    Raises RuntimeFault INVALID_ARGUMENT when `auth` is not base64 of `user:password`.
    """
    if config.server_address and not _is_for(config.server_address, reference):
        return None
    if config.username or config.identity_token or config.registry_token:
        return Auth(config.username, config.password, config.identity_token, config.registry_token)
    if not config.auth:
        return None
    try:
        decoded = base64.b64decode(config.auth, validate=True).decode().rstrip("\x00")
    except (binascii.Error, UnicodeDecodeError):
        raise faults.invalid("cannot use registry credentials: auth is not base64") from None
    username, colon, password = decoded.partition(":")
    if not colon:
        raise faults.invalid("cannot use registry credentials: auth is not user:password")
    return Auth(username, password)


def _is_for(server_address: str, reference: str) -> bool:
    """Tell whether a server address names the reference's registry."""
    address = server_address if "://" in server_address else f"//{server_address}"
    host = urlsplit(address).netloc
    first = reference.partition("/")[0]
    registry = first if "/" in reference and ("." in first or ":" in first or first == "localhost") else ""
    docker = {"", "docker.io", "index.docker.io", "registry-1.docker.io"}
    return host == registry or (registry in docker and host in docker)
