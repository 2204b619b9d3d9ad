"""The registry client against a scripted registry on loopback: tokens, redirects, mirrors, resumption."""

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cri.images import auth as auths
from cri.images import errors, hosts
from cri.images.downloads import Downloads
from cri.images.hosts import Endpoint
from cri.images.image import Auth
from cri.images.manifest import Descriptor
from cri.images.reference import Reference
from cri.images.registry import Client

_BLOB = bytes(range(256)) * 400
_DIGEST = "sha256:" + hashlib.sha256(_BLOB).hexdigest()
_DESCRIPTOR = Descriptor(_DIGEST, len(_BLOB))

Answer = Callable[["Handler"], None]
Fetch = Callable[[Client], bytes]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path's own function and writes down what was asked."""

    protocol_version = "HTTP/1.1"
    server: "Registry"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path.partition("?")[0])
        answer(self) if answer else self.reply(404)

    def reply(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Registry(http.server.ThreadingHTTPServer):
    """A registry whose answers a test writes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up early: that is part of the tests."""

    def client(self, auth: Auth | None = None, mirror: "Registry | None" = None) -> Client:
        endpoints = [Endpoint(f"http://{self.host}/v2", self.host)]
        if mirror:
            endpoints.insert(0, Endpoint(f"http://{mirror.host}/v2", "quay.io", is_mirror=True))
        reference = Reference.parse(f"{self.host}/a/b:1")
        return Client(tuple(endpoints), reference, auth, sleep=lambda _: None)


@pytest.fixture
def registry() -> Iterator[Registry]:
    yield from _serve()


@pytest.fixture
def other() -> Iterator[Registry]:
    yield from _serve()


def _serve() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _blob(handler: Handler) -> None:
    handler.reply(200, _BLOB)


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Download the blob and return it."""

    def run(client: Client) -> bytes:
        with Downloads(tmp_path).using(_DESCRIPTOR) as part:
            try:
                part.take_up()
                client.blob(_DESCRIPTOR, part, lambda _: None)
            finally:
                client.close()
            return part.path.read_bytes()

    return run


_PATH = f"/v2/a/b/blobs/{_DIGEST}"


def test_token_is_fetched_once_and_sent(registry: Registry) -> None:
    def guarded(handler: Handler) -> None:
        if handler.headers.get("Authorization") == "Bearer T":
            handler.reply(200, b"{}")
        else:
            handler.reply(401, WWW_Authenticate=f'Bearer realm="http://{registry.host}/token",service="s"')

    registry.answers = {
        "/v2/a/b/manifests/1": guarded,
        "/token": lambda handler: handler.reply(200, b'{"token":"T"}'),
    }
    client = registry.client(Auth("me", "secret"))
    assert client.manifest("1") == b"{}"
    assert client.manifest("1") == b"{}"
    client.close()
    tokens = [(path, headers) for path, headers in registry.asked if path.startswith("/token")]
    assert len(tokens) == 1
    assert "scope=repository%3Aa%2Fb%3Apull" in tokens[0][0]
    assert tokens[0][1]["Authorization"] == auths.basic(Auth("me", "secret"))


def test_credentials_do_not_follow_a_redirect_to_another_host(
    registry: Registry, other: Registry, fetch: Fetch
) -> None:
    def moved(handler: Handler) -> None:
        if "Authorization" not in handler.headers:
            return handler.reply(401, WWW_Authenticate="Basic")
        return handler.reply(307, Location=f"http://{other.host}/storage")

    registry.answers = {_PATH: moved}
    other.answers = {"/storage": _blob}
    assert fetch(registry.client(Auth("me", "secret"))) == _BLOB
    assert all("Authorization" not in headers for _, headers in other.asked)


def test_broken_download_is_resumed(registry: Registry, fetch: Fetch) -> None:
    def breaking(handler: Handler) -> None:
        start = handler.headers.get("Range")
        if start is None:
            handler.reply(200, _BLOB[:1000], length=len(_BLOB))
        else:
            offset = int(start.removeprefix("bytes=").rstrip("-"))
            where = f"bytes {offset}-{len(_BLOB) - 1}/{len(_BLOB)}"
            handler.reply(206, _BLOB[offset:], Content_Range=where)

    registry.answers = {_PATH: breaking}
    assert fetch(registry.client()) == _BLOB
    assert registry.asked[-1][1]["Range"] == "bytes=1000-"


def test_server_errors_are_tried_again(registry: Registry, fetch: Fetch) -> None:
    def busy(handler: Handler) -> None:
        handler.reply(503) if len(registry.asked) < 4 else _blob(handler)

    registry.answers = {_PATH: busy}
    assert fetch(registry.client()) == _BLOB


def test_wrong_content_is_refused(registry: Registry, fetch: Fetch) -> None:
    registry.answers = {_PATH: lambda handler: handler.reply(200, b"x" * len(_BLOB))}
    with pytest.raises(errors.ImageError, match="content is") as caught:
        fetch(registry.client())
    assert caught.value.kind is errors.Kind.DATA_LOSS


def test_too_much_content_is_refused(registry: Registry, fetch: Fetch) -> None:
    registry.answers = {_PATH: lambda handler: handler.reply(200, _BLOB + b"x")}
    with pytest.raises(errors.ImageError, match="longer than"):
        fetch(registry.client())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "NOT_FOUND"), (403, "PERMISSION_DENIED"), (401, "UNAUTHENTICATED"), (500, "UNAVAILABLE")],
)
def test_statuses_become_kinds(registry: Registry, status: int, kind: str) -> None:
    body = json.dumps({"errors": [{"code": "X", "message": "why"}]}).encode()
    registry.answers = {"/v2/a/b/manifests/1": lambda handler: handler.reply(status, body)}
    client = registry.client()
    with pytest.raises(errors.ImageError) as caught:
        client.manifest("1")
    client.close()
    assert caught.value.kind.name == kind


def test_mirror_is_asked_first_and_told_the_registry(
    registry: Registry, other: Registry, fetch: Fetch
) -> None:
    registry.answers = {_PATH: _blob}
    assert fetch(registry.client(mirror=other)) == _BLOB
    assert other.asked[0][0] == _PATH + "?ns=quay.io"


def test_plain_http_is_for_loopback_and_named_hosts_only() -> None:
    named = frozenset({"reg.example:5000"})
    assert hosts.default("localhost:5000", named).is_plain
    assert hosts.default("127.0.0.1", named).is_plain
    assert hosts.default("[::1]:5000", named).is_plain
    assert hosts.default("reg.example:5000", named).is_plain
    assert not hosts.default("reg.example", named).is_plain
    assert not hosts.default("localhost.example.com", named).is_plain
    assert hosts.default("docker.io", named).url == "https://registry-1.docker.io/v2"


def test_hosts_toml_names_mirrors_in_order(tmp_path: Path) -> None:
    home = tmp_path / "docker.io"
    home.mkdir()
    (home / "hosts.toml").write_text(
        'server = "https://docker.io"\n[host."https://m1"]\ncapabilities = ["pull"]\nca = "ca.pem"\n'
        '[host."http://m2/v2/prefix"]\noverride_path = true\nskip_verify = true\n'
    )
    first, second, last = hosts.endpoints("docker.io", tmp_path, frozenset())
    assert (first.url, first.can_resolve, first.ca_files) == ("https://m1/v2", False, (home / "ca.pem",))
    assert (second.url, second.is_unverified, second.is_mirror) == ("http://m2/v2/prefix", True, True)
    assert (last.url, last.is_mirror) == ("https://docker.io/v2", False)


def test_token_server_of_an_https_registry_must_be_https() -> None:
    challenge = auths.parse_challenge('Bearer realm="http://evil/token",service="a,b"')
    assert challenge.parameters["service"] == "a,b"
    with pytest.raises(errors.ImageError, match="unsafe realm"):
        auths.token_request(challenge, "s", None, may_be_plain=False)


def test_secrets_stay_out_of_representations() -> None:
    assert "secret" not in repr(Auth("me", "secret", "secret", "secret"))
