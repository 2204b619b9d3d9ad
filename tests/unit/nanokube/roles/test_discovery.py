"""A cluster is recognized by its authority's hash and its token's signature, or the cause is named."""

import contextlib
import datetime
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanokube.api import bootstrap_tokens as tokens
from nanokube.controllers import cluster_info
from nanokube.kit import pki
from nanokube.roles import discovery

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = pki.Authority.create("kubernetes", NOW)
OTHER = pki.Authority.create("kubernetes", NOW)
HASH = pki.public_key_hash(AUTHORITY.pair.certificate)
SECRET = "0123456789abcdef"
SOME_HASH = "sha256:" + "0" * 64


def info(secret: str = SECRET, authority: pki.Authority = AUTHORITY) -> dict[str, Any]:
    content = cluster_info.kubeconfig("https://192.0.2.1:6443", authority.pair.certificate.decode())
    return {"data": {"kubeconfig": content, "jws-kubeconfig-abcdef": tokens.sign(content, "abcdef", secret)}}


@contextlib.contextmanager
def serving(
    place: Path, body: bytes, status: int = 200, signer: pki.Authority = AUTHORITY, name: str = "127.0.0.1"
) -> Iterator[int]:
    """Answer every GET with body over TLS; yields the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    pair = signer.issue(pki.Subject("s", names=(name,)), NOW)
    file = place / "server.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def invited(port: int, ca_hash: str = HASH) -> discovery.Invitation:
    return discovery.invitation(f"https://127.0.0.1:{port}", f"abcdef.{SECRET}", ca_hash)


def test_a_cluster_is_recognized(tmp_path: Path) -> None:
    with serving(tmp_path, json.dumps(info()).encode()) as port:
        found = discovery.discover(invited(port), time.time())
    assert found.authority == AUTHORITY.pair.certificate
    assert found.own_address == "127.0.0.1"


@pytest.mark.parametrize(
    ("hours", "side"), [(1, "60 minutes ahead of the server's"), (-1, "60 minutes behind the server's")]
)
def test_a_clock_an_hour_off_is_named(tmp_path: Path, hours: int, side: str) -> None:
    with (
        serving(tmp_path, json.dumps(info()).encode()) as port,
        pytest.raises(discovery.JoinError, match=f"^this host's clock is {side}$") as caught,
    ):
        discovery.discover(invited(port), time.time() + hours * 3600)
    assert "timedatectl" in caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ({"body": b"{}", "status": 404}, "tells of no cluster to join \\(HTTP 404\\)"),
        ({"body": b"hello"}, "cannot understand"),
        ({"body": b"[]"}, "cannot understand"),
        ({"body": b"{}"}, "cannot understand"),
        ({"body": json.dumps(info(authority=OTHER)).encode()}, "is not the one of --ca-hash"),
        ({"body": json.dumps(info("x" * 16)).encode()}, "the second part of token abcdef is wrong"),
        (
            {"body": json.dumps({"data": {"kubeconfig": info()["data"]["kubeconfig"]}}).encode()},
            "token abcdef is unknown to the cluster, or has expired",
        ),
        ({"body": json.dumps(info()).encode(), "signer": OTHER}, "certificate is not trusted"),
        ({"body": json.dumps(info()).encode(), "name": "192.0.2.1"}, "certificate is not for 127.0.0.1"),
    ],
)
def test_what_is_not_the_cluster_is_refused(tmp_path: Path, answer: dict[str, Any], cause: str) -> None:
    with serving(tmp_path, **answer) as port, pytest.raises(discovery.JoinError, match=cause) as caught:
        discovery.discover(invited(port), time.time())
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("server", "token", "ca_hash", "cause"),
    [
        ("http://192.0.2.1", f"abcdef.{SECRET}", SOME_HASH, "not https://HOST:PORT"),
        ("https://192.0.2.1:99999", f"abcdef.{SECRET}", SOME_HASH, "cannot read the server's address"),
        ("https://192.0.2.1/path", f"abcdef.{SECRET}", SOME_HASH, "not https://HOST:PORT"),
        ("192.0.2.1", "abcdef", SOME_HASH, "the token is not"),
        ("192.0.2.1", f"abcdef.{SECRET}", "sha256:12", "the hash"),
    ],
)
def test_a_line_that_was_not_copied_whole_is_refused(
    server: str, token: str, ca_hash: str, cause: str
) -> None:
    with pytest.raises(discovery.JoinError, match=cause):
        discovery.invitation(server, token, ca_hash)


def test_scheme_and_port_may_be_left_out() -> None:
    assert discovery.invitation("192.0.2.1", f"abcdef.{SECRET}", HASH).server == "https://192.0.2.1:6443"


def test_an_address_of_ipv6_has_brackets() -> None:
    invited = discovery.invitation("https://[2001:db8::1]:6443", f"abcdef.{SECRET}", SOME_HASH)
    assert (invited.host, invited.port, invited.server) == ("2001:db8::1", 6443, "https://[2001:db8::1]:6443")
