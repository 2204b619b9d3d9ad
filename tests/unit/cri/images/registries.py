"""A registry on loopback whose answers a test writes, by HTTP or HTTPS, and certificates for it."""

import contextlib
import dataclasses
import datetime
import hashlib
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cri.images.hosts import Endpoint
from cri.images.image import Auth
from cri.images.reference import Reference
from cri.images.registry import Client

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path's own function and writes down what was asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Registry"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path.partition("?")[0])
        answer(self) if answer else self.reply(404)

    do_HEAD = do_POST = do_GET

    def reply(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        """Answer; length: what to claim in place of the body's length, the connection breaks after it."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = length is not None

    def reply_rest(self, body: bytes, end: int | None = None) -> None:
        """Answer as storage does: a Range from some byte on, broken off at end."""
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        length = len(body) - start if end is not None else None
        if start:
            where = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.reply(206, body[start:end], length, Content_Range=where)
        else:
            self.reply(200, body[:end], length)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Registry(http.server.ThreadingHTTPServer):
    """A registry of one test."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up early, or not like our certificate: that is part of the tests."""

    def client(
        self, auth: Auth | None = None, mirror: "Registry | None" = None, sleeps: list[float] | None = None
    ) -> Client:
        """Make a client of the repository a/b that waits for nothing but writes down how long it would."""
        endpoints = [Endpoint(f"http://{self.host}/v2", self.host)]
        if mirror:
            endpoints.insert(0, Endpoint(f"http://{mirror.host}/v2", "quay.io", is_mirror=True))
        reference = Reference.parse(f"{self.host}/a/b:1")
        waits: list[float] = [] if sleeps is None else sleeps
        return Client(tuple(endpoints), reference, auth, sleep=waits.append)

    def put(self, repository: str, *blobs: bytes) -> None:
        """Serve blobs whole or in part."""
        for blob in blobs:
            digest = "sha256:" + hashlib.sha256(blob).hexdigest()
            self.answers[f"/v2/{repository}/blobs/{digest}"] = _rest_of(blob)

    def put_manifest(self, repository: str, tag: str, manifest: bytes) -> str:
        """Serve a manifest by tag and digest; returns the digest."""
        digest = "sha256:" + hashlib.sha256(manifest).hexdigest()

        def answer(handler: Handler) -> None:
            handler.reply(200, manifest, Docker_Content_Digest=digest)

        for name in (tag, digest):
            self.answers[f"/v2/{repository}/manifests/{name}"] = answer
        return digest

    def count(self, path_end: str, method: str = "GET") -> int:
        return sum(asked == method and path.endswith(path_end) for asked, path, _ in self.asked)


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """Serve during the body."""
    with Registry(tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _rest_of(blob: bytes) -> Answer:
    return lambda handler: handler.reply_rest(blob)


@dataclasses.dataclass(frozen=True)
class Certificates:
    """Files of a private CA: its certificate, and certificate and key of 127.0.0.1 and of a client."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    def context(self, *, asks_clients: bool = False) -> ssl.SSLContext:
        """Return what a server of 127.0.0.1 needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        if asks_clients:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def certificates(directory: Path) -> Certificates:
    """Make a CA and what it signs."""
    directory.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    _sign("test CA", ca_key, "test CA", ca_key, directory / "ca")
    for name in ("server", "client"):
        _sign(name, ec.generate_private_key(ec.SECP256R1()), "test CA", ca_key, directory / name)
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(directory / name for name in names))


def _sign(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, to: Path
) -> None:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    to.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    to.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
