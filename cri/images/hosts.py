"""Which addresses answer for a registry: mirrors and settings of `certs.d/<host>/hosts.toml`.

Source: containerd docs/hosts.md (server, host tables, capabilities, ca, client, skip_verify, override_path),
core/remotes/docker/config/hosts.go (names of directories, certificates without a hosts.toml).
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
    client_certificates: tuple[tuple[Path, Path | None], ...] = ()
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
        return (_certified(default(registry, insecure), directory),)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise _unreadable(directory, str(err)) from err
    try:
        return parse(settings, registry, directory, insecure)
    except (AttributeError, TypeError, ValueError, LookupError) as err:
        raise _unreadable(directory, f"{type(err).__name__}: {err}") from err


def parse(
    settings: Mapping[str, Any], registry: str, directory: Path, insecure: frozenset[str]
) -> tuple[Endpoint, ...]:
    """Read the tables of a hosts.toml; file names in it are relative to directory. Pure.

    The registry itself, or the `server` given in its place, comes last and has the settings of the top level.
    """
    own = default(registry, insecure)
    tables = [*settings.get("host", {}).items(), (settings.get("server") or own.url, settings)]
    found: dict[str, Endpoint] = {}
    for url, table in tables:
        if "pull" in table.get("capabilities", _DEFAULT_CAPABILITIES):
            endpoint = _endpoint(url, table, own, directory, insecure)
            found.setdefault(endpoint.url, endpoint)
    return tuple(found.values())


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
    """Find a registry's directory: `host_5000_` (without a colon), `host:5000`, `_default`."""
    if certs_d is None:
        return None
    host, colon, port = registry.rpartition(":")
    escaped = f"{host}_{port}_" if colon and port.isdigit() else registry
    for name in (escaped, registry, "_default"):
        if (certs_d / name).is_dir():
            return certs_d / name
    return None


def _certified(endpoint: Endpoint, directory: Path) -> Endpoint:
    """Take up the certificates that lie in a directory without a hosts.toml, as Docker names them."""
    return dataclasses.replace(
        endpoint,
        ca_files=tuple(sorted(directory.glob("*.crt"))),
        client_certificates=tuple(
            (path, path.with_suffix(".key")) for path in sorted(directory.glob("*.cert"))
        ),
    )


def _endpoint(
    url: str, table: Mapping[str, Any], own: Endpoint, directory: Path, insecure: frozenset[str]
) -> Endpoint:
    if "://" not in url:
        url = f"{_scheme(url, insecure)}://{url}"
    if urllib.parse.urlsplit(url).scheme not in ("http", "https") or not urllib.parse.urlsplit(url).hostname:
        raise ValueError(f"{url!r} is not the URL of a registry")
    base = url.rstrip("/")
    if not table.get("override_path") and not base.endswith("/v2"):
        base += "/v2"
    return Endpoint(
        url=base,
        registry=own.registry,
        is_mirror=urllib.parse.urlsplit(base).netloc not in (own.host, own.registry),
        can_resolve="resolve" in table.get("capabilities", _DEFAULT_CAPABILITIES),
        ca_files=tuple(directory / name for name in _strings(table.get("ca"))),
        client_certificates=_clients(table.get("client"), directory),
        is_unverified=bool(table.get("skip_verify")),
        headers=tuple(
            (name, value) for name, values in table.get("header", {}).items() for value in _strings(values)
        ),
    )


def _scheme(host: str, insecure: frozenset[str]) -> str:
    return "http" if host in insecure or is_loopback(host) else "https"


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _clients(value: Any, directory: Path) -> tuple[tuple[Path, Path | None], ...]:
    """Read `client`: a file of certificate and key, a list of such, or of pairs of files.

    A plain list of a certificate and a `.key` is taken for one pair: that is what its writer means.
    """
    if (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[1], str)
        and value[1].endswith(".key")
    ):
        value = [value]
    entries = [value] if isinstance(value, str) else list(value or ())
    pairs = [[entry, ""] if isinstance(entry, str) else [*entry, ""][:2] for entry in entries]
    return tuple((directory / cert, directory / key if key else None) for cert, key in pairs)


def _unreadable(directory: Path, cause: str) -> errors.ImageError:
    return errors.ImageError(
        errors.Kind.FAILED_PRECONDITION, f"cannot read {directory / 'hosts.toml'}: {cause}"
    )
