"""Which addresses answer for a registry: mirrors and settings of `certs.d/<host>/hosts.toml`.

Source: containerd docs/hosts.md (server, host tables, capabilities, ca, client, skip_verify, override_path).
"""

import dataclasses
import ipaddress
import tomllib
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cri.images import errors

_DEFAULT_CAPABILITIES = ("pull", "resolve", "push")
_DOCKER_HUB = "registry-1.docker.io"  # where docker.io's API lives


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One base URL to try, without a trailing slash: `https://registry-1.docker.io/v2`.

    is_mirror: it is asked with `?ns=<registry>` for a registry that is not its own.
    """

    url: str
    registry: str
    is_mirror: bool = False
    can_resolve: bool = True
    ca_files: tuple[Path, ...] = ()
    client_certificate: tuple[Path, Path | None] | None = None
    is_unverified: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def is_plain(self) -> bool:
        return self.url.startswith("http://")


def endpoints(registry: str, certs_d: Path | None, insecure: frozenset[str]) -> tuple[Endpoint, ...]:
    """List what to try for a registry, in order. Reads hosts.toml. Raises ImageError."""
    directory = _directory(registry, certs_d)
    if directory is None:
        return (default(registry, insecure),)
    try:
        settings = tomllib.loads((directory / "hosts.toml").read_text())
    except FileNotFoundError:
        return (dataclasses.replace(default(registry, insecure), ca_files=tuple(directory.glob("*.crt"))),)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise errors.ImageError(
            errors.Kind.FAILED_PRECONDITION, f"cannot read {directory / 'hosts.toml'}: {err}"
        ) from err
    return parse(settings, registry, directory, insecure)


def parse(
    settings: Mapping[str, Any], registry: str, directory: Path, insecure: frozenset[str]
) -> tuple[Endpoint, ...]:
    """Read the tables of a hosts.toml; file names in it are relative to directory. Pure."""
    found = [
        _endpoint(url, table, registry, directory, insecure, is_mirror=True)
        for url, table in settings.get("host", {}).items()
        if "pull" in table.get("capabilities", _DEFAULT_CAPABILITIES)
    ]
    server = settings.get("server")
    last = (
        _endpoint(server, settings, registry, directory, insecure, is_mirror=False)
        if server
        else default(registry, insecure)
    )
    if last.url not in {endpoint.url for endpoint in found}:
        found.append(last)
    return tuple(found)


def default(registry: str, insecure: frozenset[str]) -> Endpoint:
    """Return a registry's own address: HTTPS, or HTTP on loopback and where the configuration allows it."""
    host = _DOCKER_HUB if registry == "docker.io" else registry
    return Endpoint(f"{_scheme(host, insecure)}://{host}/v2", registry)


def is_loopback(host: str) -> bool:
    """Tell whether `host`, `host:port` or `[v6]:port` is this machine, by its text alone."""
    name = urllib.parse.urlsplit("//" + host).hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _directory(registry: str, certs_d: Path | None) -> Path | None:
    if certs_d is None:
        return None
    for name in (registry, registry.replace(":", "_") + "_", "_default"):
        if (certs_d / name).is_dir():
            return certs_d / name
    return None


def _endpoint(
    url: str,
    table: Mapping[str, Any],
    registry: str,
    directory: Path,
    insecure: frozenset[str],
    *,
    is_mirror: bool,
) -> Endpoint:
    if "://" not in url:
        url = f"{_scheme(url, insecure)}://{url}"
    base = url.rstrip("/")
    if not table.get("override_path") and not base.endswith("/v2"):
        base += "/v2"
    own = default(registry, insecure).host
    return Endpoint(
        url=base,
        registry=registry,
        is_mirror=is_mirror and urllib.parse.urlsplit(base).netloc != own,
        can_resolve="resolve" in table.get("capabilities", _DEFAULT_CAPABILITIES),
        ca_files=tuple(directory / name for name in _strings(table.get("ca"))),
        client_certificate=_client(table.get("client"), directory),
        is_unverified=bool(table.get("skip_verify")),
        headers=tuple(
            (name, value) for name, values in table.get("header", {}).items() for value in _strings(values)
        ),
    )


def _scheme(host: str, insecure: frozenset[str]) -> str:
    return "http" if host in insecure or is_loopback(host) else "https"


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _client(value: Any, directory: Path) -> tuple[Path, Path | None] | None:
    if not value:
        return None
    first = value if isinstance(value, str) else value[0]
    if isinstance(first, str):
        return directory / first, None
    return directory / first[0], directory / first[1] if len(first) > 1 and first[1] else None
