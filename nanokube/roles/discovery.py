"""What cluster is behind an address, known by a token and by the hash of its authority's key.

    connect ── cluster-info over TLS that nothing vouches for ── clock, authority's hash, token's signature
            ── cluster-info again over TLS that this authority vouches for ── the same? then it is the cluster

Nothing secret is sent before the last step. Each refusal is one line that names the cause, and a remedy.
Source: kubeadm app/discovery/token; staging cluster-bootstrap.
"""

import base64
import dataclasses
import email.utils
import errno
import http.client
import json
import re
import socket
import ssl
import urllib.parse
from typing import Any

import yaml

from nanokube.api import bootstrap_tokens as tokens
from nanokube.kit import addresses, pki

INFO_PATH = f"/api/v1/namespaces/{tokens.CLUSTER_INFO_NAMESPACE}/configmaps/{tokens.CLUSTER_INFO}"
DEFAULT_PORT = 6443
TIMEOUT_S = 5.0
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
# OpenSSL's x509_vfy.h: the certificate is in order, but for another name or address.
_OTHER_NAME = (62, 64)


class JoinError(RuntimeError):
    """This host cannot join; remedy: what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclasses.dataclass(frozen=True, slots=True)
class Invitation:
    """What the line of `nanokube token create` says."""

    host: str
    port: int
    token_id: str
    secret: str = dataclasses.field(repr=False)
    ca_hash: str

    @property
    def server(self) -> str:
        return f"https://{addresses.host_port(self.host, self.port)}"

    @property
    def token(self) -> str:
        return f"{self.token_id}.{self.secret}"


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that was recognized. authority: PEM. own_address: of this host, on the way to the server."""

    server: str
    authority: bytes
    own_address: str


def invitation(server: str, token: str, ca_hash: str) -> Invitation:
    """Read the parts of a join line. Raises JoinError. Pure."""
    parsed = urllib.parse.urlsplit(server if "//" in server else f"https://{server}")
    try:
        port = parsed.port or DEFAULT_PORT
    except ValueError as err:
        raise JoinError(f"cannot read the server's address {server!r}: {err}", _COPY) from err
    if parsed.scheme != "https" or not parsed.hostname or parsed.path.strip("/"):
        raise JoinError(f"cannot read the server's address {server!r}: it is not https://HOST:PORT", _COPY)
    parts = tokens.split(token)
    if parts is None:
        raise JoinError("the token is not six lower-case letters or digits, a dot, and sixteen more", _COPY)
    if not _HASH.fullmatch(ca_hash):
        raise JoinError(f"the hash {ca_hash!r} is not sha256: and 64 hexadecimal digits", _COPY)
    return Invitation(parsed.hostname, port, *parts, ca_hash)


def discover(invited: Invitation, now: float) -> Cluster:
    """Recognize the cluster. now: seconds since the epoch by this host's clock. Blocks. Raises JoinError."""
    with connect(invited.host, invited.port) as connection:
        own_address = str(connection.getsockname()[0])
        address = str(connection.getpeername()[0])
        info = _fetch(connection, invited, _trusting_all(), now)
    authority = recognize(info, invited)
    context = ssl.create_default_context(cadata=authority.decode())
    with connect(address, invited.port) as connection:
        again = _fetch(connection, invited, context, now)
    if (again.get("data") or {}).get(tokens.KUBECONFIG_KEY) != info["data"][tokens.KUBECONFIG_KEY]:
        raise JoinError(f"{invited.server} says of itself one thing now and another then", _COPY)
    return Cluster(invited.server, authority, own_address)


def recognize(info: dict[str, Any], invited: Invitation) -> bytes:
    """Return the authority that cluster-info names, if it is the invitation's. Raises JoinError. Pure."""
    data = info.get("data") or {}
    content = str(data.get(tokens.KUBECONFIG_KEY, ""))
    try:
        cluster = yaml.safe_load(content)["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"])
        found = pki.public_key_hash(authority)
    except (yaml.YAMLError, ValueError, TypeError, LookupError) as err:
        raise JoinError(f"cannot understand what {invited.server} says of itself", _COPY) from err
    if found != invited.ca_hash:
        raise JoinError(
            f"the authority of {invited.server} is not the one of --ca-hash",
            f"{_COPY}; if the hash is that line's, somebody else answers at this address",
        )
    signature = str(data.get(tokens.SIGNATURE_PREFIX + invited.token_id, ""))
    if not signature:
        raise JoinError(f"token {invited.token_id} is unknown to the cluster, or has expired", _NEW_TOKEN)
    if not tokens.is_signed(signature, content, invited.token_id, invited.secret):
        raise JoinError(f"the second part of token {invited.token_id} is wrong", _COPY)
    return authority


def check_clock(date: str | None, now: float) -> None:
    """Refuse a clock that certificates would not stand. date: of an HTTP answer. Raises JoinError. Pure."""
    stamp = email.utils.parsedate_to_datetime(date).timestamp() if date else now
    off_s = now - stamp
    if abs(off_s) > pki.CLOCK_SKEW.total_seconds():
        minutes, side = abs(off_s) / 60, "ahead of" if off_s > 0 else "behind"
        raise JoinError(
            f"this host's clock is {minutes:.0f} minutes {side} the server's",
            "set the wrong one of the two, then join: timedatectl set-ntp true",
        )


def connect(host: str, port: int) -> socket.socket:
    """Connect by whichever family the host has, IPv4 first. Raises JoinError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as err:
        raise JoinError(f"cannot find the server: no host is called {host}", "give its address") from err
    failures = []
    for family, _kind, _protocol, _name, place in sorted(found, key=lambda each: each[0] != socket.AF_INET):
        try:
            return socket.create_connection((str(place[0]), port), timeout=TIMEOUT_S)
        except OSError as err:
            shown = addresses.host_port(str(place[0]), port)
            failures.append((_unreachable(shown, port, err, family), err))
    refusal, cause = failures[0]
    raise refusal from cause


def _unreachable(place: str, port: int, err: OSError, family: int) -> JoinError:
    if isinstance(err, ConnectionRefusedError):
        remedy = "see on the server that it runs (`sudo nanokube status`), and at which port"
        return JoinError(f"nothing listens at {place}", remedy)
    if isinstance(err, TimeoutError) or err.errno == errno.ETIMEDOUT:
        remedy = f"let TCP port {port} pass every firewall between, or give another address of the server"
        return JoinError(f"no answer from {place} within {TIMEOUT_S:.0f} s", remedy)
    if err.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        if family == socket.AF_INET and not _has_ipv4():
            return JoinError(
                f"this host has no IPv4 address to reach {place} from",
                "give it one (`ip address` lists what it has), or join by the server's IPv6 address"
                " if the cluster has IPv6",
            )
        if family == socket.AF_INET6 and not _has_ipv6():
            return JoinError(
                f"this host has no IPv6 address to reach {place} from",
                "give it one (`ip address` lists what it has), or join by the server's IPv4 address",
            )
        bare = place.rpartition(":")[0].strip("[]")
        remedy = (
            f"give an address of the server that this host reaches: see `ip route get {bare}`; "
            f"or let TCP port {port} pass a firewall that refuses it"
        )
        return JoinError(f"no route to {place}", remedy)
    return JoinError(
        f"cannot reach {place}: {err.strerror or err}", "see that the server runs and is reachable"
    )


def _has_ipv4() -> bool:
    """Tell whether any device but loopback has an IPv4 address: fib_trie lists those that are the host's."""
    try:
        with open("/proc/net/fib_trie") as file:
            lines = file.read().split("\n")
    except OSError:
        return True
    return any(
        "/32 host LOCAL" in line and not lines[number - 1].strip().startswith("|-- 127.")
        for number, line in enumerate(lines)
    )


def _has_ipv6() -> bool:
    """Tell whether any device but loopback has an IPv6 address that is not of its link alone."""
    try:
        with open("/proc/net/if_inet6") as file:
            found = [line.split() for line in file]
    except OSError:
        return False  # a kernel without IPv6
    return any(scope != "20" and device != "lo" for _address, _index, _bits, scope, _flags, device in found)


def _fetch(
    connection: socket.socket, invited: Invitation, context: ssl.SSLContext, now: float
) -> dict[str, Any]:
    """Read cluster-info over a connection that exists."""
    try:
        with context.wrap_socket(connection, server_hostname=invited.host) as secured:
            secured.sendall(
                f"GET {INFO_PATH} HTTP/1.1\r\nHost: {addresses.bracketed(invited.host)}\r\n"
                "Accept: application/json\r\nConnection: close\r\n\r\n".encode()
            )
            response = http.client.HTTPResponse(secured)
            response.begin()
            body = response.read()
    except ssl.SSLCertVerificationError as err:
        raise _not_trusted(invited, err) from err
    except (ssl.SSLError, http.client.HTTPException, OSError) as err:
        raise JoinError(f"what listens at {invited.server} is no API server: {err}", _COPY) from err
    check_clock(response.headers.get("Date"), now)
    if response.status != 200:
        raise JoinError(f"{invited.server} tells of no cluster to join (HTTP {response.status})", _COPY)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise JoinError(f"cannot understand what {invited.server} says of itself", _COPY)
    return found


def _not_trusted(invited: Invitation, err: ssl.SSLCertVerificationError) -> JoinError:
    if err.verify_code in _OTHER_NAME:
        return JoinError(
            f"the server's certificate is not for {invited.host}",
            "join by the address that `sudo nanokube token create` prints on the server",
        )
    return JoinError(f"the server's certificate is not trusted: {err.verify_message}", _COPY)


def _trusting_all() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_COPY = "copy the whole line that `sudo nanokube token create` prints on the server"
_NEW_TOKEN = "make a new one on the server: `sudo nanokube token create`"
