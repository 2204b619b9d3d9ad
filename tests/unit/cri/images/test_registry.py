"""The registry client: tokens, redirects, mirrors, TLS, resumption, patience."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cri.images import auth as auths
from cri.images import errors, hosts
from cri.images.downloads import Downloads
from cri.images.image import Auth
from cri.images.manifest import Descriptor
from cri.images.reference import Reference
from cri.images.registry import Client
from tests.unit.cri.images import registries
from tests.unit.cri.images.registries import Certificates, Handler, Registry

_BLOB = bytes(range(256)) * 400
_DIGEST = "sha256:" + hashlib.sha256(_BLOB).hexdigest()
_DESCRIPTOR = Descriptor(_DIGEST, len(_BLOB))
_PATH = f"/v2/a/b/blobs/{_DIGEST}"
_MANIFEST = "/v2/a/b/manifests/1"

Fetch = Callable[[Client], bytes]


@pytest.fixture
def registry() -> Iterator[Registry]:
    with registries.serving() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Registry]:
    with registries.serving() as server:
        yield server


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


def _blob(handler: Handler) -> None:
    handler.reply(200, _BLOB)


def _manifest(client: Client) -> bytes:
    try:
        return client.manifest("1")
    finally:
        client.close()


class _Guarded:
    """A manifest behind a token server that gives T1, T2, …; each token is good for some requests."""

    def __init__(self, registry: Registry, good_for: int = 1000, **challenge: str) -> None:
        self.given = 0
        self._left: dict[str, int] = {}
        self._good_for = good_for
        parameters = {"realm": f"http://{registry.host}/token", "service": "s", **challenge}
        self._challenge = "Bearer " + ",".join(f'{name}="{value}"' for name, value in parameters.items())
        registry.answers = {_MANIFEST: self.answer, "/token": self.give}

    def answer(self, handler: Handler) -> None:
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._left.get(token, 0) > 0:
            self._left[token] -= 1
            handler.reply(200, b"{}")
        else:
            handler.reply(401, WWW_Authenticate=self._challenge)

    def give(self, handler: Handler) -> None:
        self.given += 1
        self.body = handler.body
        self._left[f"T{self.given}"] = self._good_for
        handler.reply(200, json.dumps({"access_token": f"T{self.given}", "expires_in": 60}).encode())


def _tokens(registry: Registry) -> list[tuple[str, str, dict[str, str]]]:
    return [asked for asked in registry.asked if asked[1].startswith("/token")]


@pytest.mark.parametrize("auth", [None, Auth("me", "secret")])
def test_token_is_fetched_once_and_sent(registry: Registry, auth: Auth | None) -> None:
    _Guarded(registry)
    client = registry.client(auth)
    assert [client.manifest("1") for _ in range(3)] == [b"{}"] * 3
    client.close()
    ((method, path, headers),) = _tokens(registry)
    assert (method, "scope=repository%3Aa%2Fb%3Apull" in path) == ("GET", True)
    assert headers.get("Authorization") == (auths.basic(auth) if auth else None)


def test_expired_token_is_replaced(registry: Registry) -> None:
    guarded = _Guarded(registry, good_for=2)
    client = registry.client()
    assert [client.manifest("1") for _ in range(5)] == [b"{}"] * 5
    client.close()
    assert guarded.given == 3


def test_scope_of_the_challenge_is_asked_for(registry: Registry) -> None:
    _Guarded(registry, scope="repository:proxy/a/b:pull")
    _manifest(registry.client())
    assert "scope=repository%3Aproxy%2Fa%2Fb%3Apull" in _tokens(registry)[0][1]


def test_identity_token_is_exchanged(registry: Registry) -> None:
    guarded = _Guarded(registry)
    _manifest(registry.client(Auth(identity_token="I")))
    assert _tokens(registry)[0][0] == "POST"
    assert b"grant_type=refresh_token" in guarded.body
    assert b"refresh_token=I" in guarded.body


def test_registry_token_is_sent_as_it_is(registry: Registry) -> None:
    _Guarded(registry)

    def answer(handler: Handler) -> None:
        is_good = handler.headers.get("Authorization") == "Bearer R"
        handler.reply(200, b"{}") if is_good else handler.reply(401, WWW_Authenticate="Bearer")

    registry.answers[_MANIFEST] = answer
    assert _manifest(registry.client(Auth(registry_token="R"))) == b"{}"
    assert _tokens(registry) == []


def test_basic_credentials(registry: Registry) -> None:
    auth = Auth("me", "pass:word")

    def answer(handler: Handler) -> None:
        is_good = handler.headers.get("Authorization") == auths.basic(auth)
        handler.reply(200, b"{}") if is_good else handler.reply(401, WWW_Authenticate='Basic realm="r"')

    registry.answers[_MANIFEST] = answer
    assert _manifest(registry.client(auth)) == b"{}"
    for wrong in (None, Auth("me", "wrong")):
        with pytest.raises(errors.ImageError) as caught:
            _manifest(registry.client(wrong))
        assert caught.value.kind is errors.Kind.UNAUTHENTICATED
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_token_is_pull_access_denied(registry: Registry, status: int) -> None:
    _Guarded(registry)
    registry.answers["/token"] = lambda handler: handler.reply(status)
    with pytest.raises(errors.ImageError, match="pull access denied") as caught:
        _manifest(registry.client(Auth("me", "secret")))
    assert caught.value.kind is errors.Kind.UNAUTHENTICATED


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token": 7}', b'{"token": "a\\nb"}'])
def test_answer_without_a_token_is_refused(body: bytes) -> None:
    with pytest.raises(errors.ImageError, match="no token"):
        auths.read_token(body)


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
    assert all("Authorization" not in headers for _, _, headers in other.asked)


def test_circle_of_redirects_ends(registry: Registry) -> None:
    registry.answers = {_MANIFEST: lambda handler: handler.reply(302, Location=_MANIFEST)}
    with pytest.raises(errors.ImageError, match="too many redirects"):
        _manifest(registry.client())


def _ranges(registry: Registry) -> list[str | None]:
    return [headers.get("Range") for _, _, headers in registry.asked]


def test_broken_download_is_resumed(registry: Registry, fetch: Fetch) -> None:
    registry.answers = {_PATH: lambda handler: handler.reply_rest(_BLOB, end=1000 * len(registry.asked))}
    assert fetch(registry.client()) == _BLOB  # over a hundred tries: those that get further do not count
    assert _ranges(registry)[:3] == [None, "bytes=1000-", "bytes=2000-"]


def test_download_goes_on_after_a_restart(registry: Registry, fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / _DIGEST[7:]).write_bytes(_BLOB[:5000])
    registry.put("a/b", _BLOB)
    assert fetch(registry.client()) == _BLOB
    assert _ranges(registry) == ["bytes=5000-"]


def test_part_that_a_crash_damaged_is_fetched_anew(registry: Registry, fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / _DIGEST[7:]).write_bytes(bytes(5000))
    registry.put("a/b", _BLOB)
    assert fetch(registry.client()) == _BLOB
    assert _ranges(registry) == ["bytes=5000-", None]


@pytest.mark.parametrize(
    "answer",
    [
        _blob,
        lambda handler: handler.reply(206, _BLOB, Content_Range=f"bytes 0-{len(_BLOB) - 1}/{len(_BLOB)}"),
        lambda handler: handler.reply(206, _BLOB[7:]),
        lambda handler: handler.reply(416),
    ],
)
def test_range_that_is_ignored_or_wrong_starts_again(
    registry: Registry, fetch: Fetch, answer: Callable[[Handler], None]
) -> None:
    def breaking(handler: Handler) -> None:
        if len(registry.asked) == 1:
            handler.reply(200, _BLOB[:1000], length=len(_BLOB))
        elif "Range" in handler.headers:
            answer(handler)
        else:
            _blob(handler)

    registry.answers = {_PATH: breaking}
    assert fetch(registry.client()) == _BLOB
    assert _ranges(registry)[1] == "bytes=1000-"


def test_download_that_never_gets_further_ends(registry: Registry, fetch: Fetch) -> None:
    registry.answers = {_PATH: lambda handler: handler.reply_rest(_BLOB, end=1000)}
    with pytest.raises(errors.ImageError, match=r"cannot reach .*: Connection broken") as caught:
        fetch(registry.client())
    assert caught.value.kind is errors.Kind.UNAVAILABLE


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_server_errors_are_tried_again(registry: Registry, fetch: Fetch, status: int) -> None:
    def busy(handler: Handler) -> None:
        handler.reply(status) if len(registry.asked) < 4 else _blob(handler)

    registry.answers = {_PATH: busy}
    assert fetch(registry.client()) == _BLOB


def test_retry_after_is_obeyed_within_reason(registry: Registry) -> None:
    waits = iter(["7", "100000", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", None])

    def limited(handler: Handler) -> None:
        wait = next(waits)
        handler.reply(
            429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', Retry_After=wait or ""
        )

    registry.answers = {_MANIFEST: limited}
    sleeps: list[float] = []
    with pytest.raises(errors.ImageError, match="answered 429: TOOMANYREQUESTS: slow down") as caught:
        _manifest(registry.client(sleeps=sleeps))
    assert sleeps == [7.0, 60.0, 1.6, 3.2]
    assert caught.value.kind is errors.Kind.UNAVAILABLE


def test_refused_connection_is_not_tried_again() -> None:
    sleeps: list[float] = []
    with Registry() as closed:  # never served
        client = closed.client(sleeps=sleeps)
    with pytest.raises(errors.ImageError, match=r"cannot reach 127\.0\.0\.1:\d+: .*refused") as caught:
        _manifest(client)
    assert caught.value.kind is errors.Kind.UNAVAILABLE
    assert sleeps == []


def test_wrong_content_is_refused(registry: Registry, fetch: Fetch) -> None:
    registry.answers = {_PATH: lambda handler: handler.reply(200, b"x" * len(_BLOB))}
    with pytest.raises(errors.ImageError, match="content is not") as caught:
        fetch(registry.client())
    assert caught.value.kind is errors.Kind.DATA_LOSS


def test_wrong_documents_are_refused(registry: Registry) -> None:
    registry.answers = {
        _PATH: lambda handler: handler.reply(200, b"x"),
        f"/v2/a/b/manifests/{_DIGEST}": _manifest_answer,
    }
    client = registry.client()
    with pytest.raises(errors.ImageError, match="content is sha256:") as caught:
        client.document(_DESCRIPTOR)
    assert caught.value.kind is errors.Kind.DATA_LOSS
    with pytest.raises(errors.ImageError, match="content is sha256:") as caught:
        client.manifest(_DIGEST)
    assert caught.value.kind is errors.Kind.DATA_LOSS
    client.close()


def _manifest_answer(handler: Handler) -> None:
    handler.reply(200, b"{}")


def test_too_much_content_is_refused(registry: Registry, fetch: Fetch) -> None:
    registry.answers = {_PATH: lambda handler: handler.reply(200, _BLOB + b"x")}
    with pytest.raises(errors.ImageError, match="longer than"):
        fetch(registry.client())


@pytest.mark.parametrize("length", [5 << 20, 1 << 50])
def test_manifest_without_end_is_refused(registry: Registry, length: int) -> None:
    registry.answers = {_MANIFEST: lambda handler: handler.reply(200, b" " * (5 << 20), length=length)}
    with pytest.raises(errors.ImageError, match="longer than"):
        _manifest(registry.client())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "NOT_FOUND"), (403, "PERMISSION_DENIED"), (401, "UNAUTHENTICATED"), (500, "UNAVAILABLE")],
)
def test_statuses_become_kinds(registry: Registry, status: int, kind: str) -> None:
    body = json.dumps({"errors": [{"code": "X", "message": "why"}]}).encode()
    registry.answers = {_MANIFEST: lambda handler: handler.reply(status, body)}
    with pytest.raises(errors.ImageError) as caught:
        _manifest(registry.client())
    assert caught.value.kind.name == kind


def test_digest_is_asked_for_without_fetching(registry: Registry) -> None:
    digest = registry.put_manifest("a/b", "1", b"{}")
    client = registry.client()
    assert client.digest("1") == digest
    assert client.digest("2") == ""
    client.close()
    assert {asked[0] for asked in registry.asked} == {"HEAD"}


def test_mirror_is_asked_first_and_told_the_registry(
    registry: Registry, other: Registry, fetch: Fetch
) -> None:
    registry.answers = {_PATH: _blob}
    assert fetch(registry.client(mirror=other)) == _BLOB
    assert other.asked[0][1] == _PATH + "?ns=quay.io"


def test_mirror_that_lies_is_passed_over(registry: Registry, other: Registry, fetch: Fetch) -> None:
    other.answers = {_PATH: lambda handler: handler.reply(200, b"x" * len(_BLOB))}
    registry.put("a/b", _BLOB)
    assert fetch(registry.client(mirror=other)) == _BLOB


def test_what_a_mirror_broke_off_is_taken_up_from_the_registry(
    registry: Registry, other: Registry, fetch: Fetch
) -> None:
    other.answers = {_PATH: lambda handler: handler.reply_rest(_BLOB, end=1000)}
    registry.put("a/b", _BLOB)
    assert fetch(registry.client(mirror=other)) == _BLOB
    assert _ranges(registry) == ["bytes=1000-"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return registries.certificates(tmp_path_factory.mktemp("ca"))


def _over_tls(server: Registry, certs_d: Path, settings: str) -> bytes:
    """Fetch the manifest of a registry known by name only, whose hosts.toml says where it is."""
    (certs_d / "r.example").mkdir(parents=True)
    text = f'server = "https://{server.host}"\n{settings}\n'
    (certs_d / "r.example" / "hosts.toml").write_text(text)
    server.answers = {_MANIFEST: _manifest_answer}
    endpoints = hosts.endpoints("r.example", certs_d, frozenset())
    return _manifest(Client(endpoints, Reference.parse("r.example/a/b:1"), None, sleep=lambda _: None))


def test_private_ca_is_trusted_where_it_is_named(tmp_path: Path, certificates: Certificates) -> None:
    with registries.serving(certificates.context()) as server:
        assert _over_tls(server, tmp_path / "1", f'ca = "{certificates.ca}"') == b"{}"
        assert _over_tls(server, tmp_path / "2", f'ca = ["{certificates.ca}"]') == b"{}"
        assert _over_tls(server, tmp_path / "3", "skip_verify = true") == b"{}"
        with pytest.raises(errors.ImageError, match="certificate verify failed") as caught:
            _over_tls(server, tmp_path / "4", "")
        assert caught.value.kind is errors.Kind.UNAVAILABLE


def test_certificate_of_another_host_is_refused(tmp_path: Path, certificates: Certificates) -> None:
    with registries.serving(certificates.context()) as server:
        server.host = server.host.replace("127.0.0.1", "localhost")
        with pytest.raises(errors.ImageError, match="certificate verify failed"):
            _over_tls(server, tmp_path, f'ca = "{certificates.ca}"')


def test_client_certificate_is_shown(tmp_path: Path, certificates: Certificates) -> None:
    with registries.serving(certificates.context(asks_clients=True)) as server:
        ca = f'ca = "{certificates.ca}"\n'
        pair = f'client = ["{certificates.client}", "{certificates.client_key}"]'
        assert _over_tls(server, tmp_path / "1", ca + pair) == b"{}"
        both = tmp_path / "both.pem"
        both.write_bytes(certificates.client.read_bytes() + certificates.client_key.read_bytes())
        assert _over_tls(server, tmp_path / "2", f'{ca}client = "{both}"') == b"{}"
        with pytest.raises(errors.ImageError, match="cannot reach"):
            _over_tls(server, tmp_path / "3", ca)


def test_missing_certificate_is_a_clear_error(tmp_path: Path, certificates: Certificates) -> None:
    with registries.serving(certificates.context()) as server:
        with pytest.raises(errors.ImageError, match=r"cannot use certificate .*nothing") as caught:
            _over_tls(server, tmp_path, 'ca = "nothing.pem"')
        assert caught.value.kind is errors.Kind.FAILED_PRECONDITION


def test_https_registry_cannot_send_us_to_http(
    tmp_path: Path, certificates: Certificates, other: Registry
) -> None:
    with registries.serving(certificates.context()) as server:

        def moved(handler: Handler) -> None:
            handler.reply(307, Location=f"http://{other.host}/x")

        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "hosts.toml").write_text(
            f'server = "https://{server.host}"\nca = "{certificates.ca}"'
        )
        server.answers = {_MANIFEST: moved}
        endpoints = hosts.endpoints("r", tmp_path, frozenset())
        with pytest.raises(errors.ImageError, match="from HTTPS to HTTP"):
            _manifest(Client(endpoints, Reference.parse("r.example/a/b:1"), None))
        assert other.asked == []


def test_plain_http_is_for_loopback_and_named_hosts_only() -> None:
    named = frozenset({"reg.example:5000"})
    assert hosts.default("localhost:5000", named).is_plain
    assert hosts.default("127.0.0.1", named).is_plain
    assert hosts.default("[::1]:5000", named).is_plain
    assert hosts.default("reg.example:5000", named).is_plain
    assert not hosts.default("reg.example", named).is_plain
    assert not hosts.default("localhost.example.com", named).is_plain
    assert hosts.default("docker.io", named).url == "https://registry-1.docker.io/v2"


def test_token_server_of_an_https_registry_must_be_https() -> None:
    challenge = auths.parse_challenge('Bearer realm="http://evil/token",service="a,b"')
    assert challenge.parameters["service"] == "a,b"
    with pytest.raises(errors.ImageError, match="unsafe realm"):
        auths.token_request(challenge, "s", None, may_be_plain=False)


def test_secrets_stay_out_of_representations() -> None:
    assert "secret" not in repr(Auth("me", "secret", "secret", "secret"))
