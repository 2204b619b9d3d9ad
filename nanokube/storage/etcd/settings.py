"""Where an etcd cluster is and how one is let in. Pure."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from nanokube.kit import addresses

PORT = 2379  # IANA: etcd-client


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """endpoints: "host:port", the nearest first. ca, cert, key: PEM files; without ca, in plain text.

    learns: ask the cluster for its other members, too.
    prefix: what stands before every key, so that clusters can share an etcd; "" or "/name".
    """

    endpoints: tuple[str, ...]
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    prefix: str = ""
    learns: bool = False


def parse(
    url: str, *, ca: Path | None = None, cert: Path | None = None, key: Path | None = None, prefix: str = ""
) -> EtcdSettings:
    """Read what --store says. Raises ValueError.

    >>> parse("etcd://10.0.0.1:2379,https://[fd00::1]:2379,host").endpoints
    ('10.0.0.1:2379', '[fd00::1]:2379', 'host:2379')
    """
    endpoints, schemes = [], set()
    for part in url.split(","):
        scheme, mark, rest = part.strip().partition("://")
        if not mark:
            scheme, rest = "", part.strip()
        if scheme not in ("", "etcd", "http", "https"):
            raise ValueError(f"cannot use store {url!r}: {scheme}:// is not etcd://, http:// or https://")
        schemes.add(scheme)
        endpoints.append(_endpoint(url, rest.rstrip("/")))
    if "https" in schemes and ca is None:
        raise ValueError(f"cannot use store {url!r}: https needs the CA of etcd's servers")
    if (cert is None) != (key is None):
        raise ValueError("cannot use etcd: a client certificate and its key go together")
    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or not prefix.isascii()):
        raise ValueError(f"cannot use etcd prefix {prefix!r}: it must be like /name")
    return EtcdSettings(tuple(endpoints), ca, cert, key, prefix)


def _endpoint(url: str, text: str) -> str:
    try:
        found = urllib.parse.urlsplit(f"//{text}")
        host, port = found.hostname, found.port or PORT
    except ValueError as err:
        raise ValueError(f"cannot use store {url!r}: {err}") from err
    if not host or found.path or found.query or found.username:
        raise ValueError(f"cannot use store {url!r}: {text!r} is not host:port")
    return addresses.host_port(host, port)
