"""Rules of serving OpenAPI: negotiation, hashes, conditional requests. The archive is a small one."""

from __future__ import annotations

import pytest

from nanokube.api import resources
from nanokube.api.errors import ApiError
from nanokube.api.openapi import archive
from nanokube.apiserver import openapi
from nanokube.kit.http.message import Headers, Peer, Request, Response

_PROTOBUF_V3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small = archive.build([resources.get("pods")])
    monkeypatch.setattr(openapi, "_made_elsewhere", lambda: small)


async def _get(target: str, **headers: str) -> Response:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    request = Request("GET", target, Headers(fields), b"", Peer("127.0.0.1", 1))
    answer = openapi.OpenApi().answer(request, request.path)
    return answer if isinstance(answer, Response) else await answer


async def test_documents_made_ahead_are_answered_at_once() -> None:
    served = openapi.OpenApi()
    request = Request("GET", "/openapi/v3", Headers([]), b"", Peer("127.0.0.1", 1))
    await served.prepare(0)
    assert isinstance(served.answer(request, request.path), Response)


async def test_documents_that_could_not_be_made_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> archive.Archive:
        raise ApiError("ServiceUnavailable", 503, "cannot build the OpenAPI documents")

    served = openapi.OpenApi()
    request = Request("GET", "/openapi/v3", Headers([]), b"", Peer("127.0.0.1", 1))
    with monkeypatch.context() as patched:
        patched.setattr(openapi, "_made_elsewhere", fail)
        await served.prepare(0)
    answer = served.answer(request, request.path)
    assert not isinstance(answer, Response)
    assert (await answer).status == 200


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        (_PROTOBUF, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"),
        (
            f"application/json;q=0.5, {_PROTOBUF}",
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        ),
        (f"text/html, application/json, {_PROTOBUF}", "application/json"),
    ],
)
async def test_v2_is_negotiated(accept: str, content_type: str) -> None:
    answer = await _get("/openapi/v2", accept=accept)
    assert (answer.status, answer.content_type) == (200, content_type)
    assert ("Vary", "Accept") in answer.headers


@pytest.mark.parametrize("accept", [_PROTOBUF_V3, _PROTOBUF_V3.replace("v3.v1.0", "v3@v1.0")])
async def test_v3_is_sent_in_protobuf_under_the_hash_of_its_json(accept: str) -> None:
    plain = await _get("/openapi/v3/api/v1")
    etag = dict(plain.headers)["ETag"]
    answer = await _get(f"/openapi/v3/api/v1?hash={etag.strip(chr(34))}", accept=accept)
    assert (answer.status, answer.content_type, dict(answer.headers)["ETag"]) == (200, _PROTOBUF_V3, etag)
    assert isinstance(answer.body, bytes)
    assert answer.body.startswith(b"\x0a\x053.0.0")


@pytest.mark.parametrize(
    ("target", "accept"), [("/openapi/v2", "text/html"), ("/openapi/v3/api/v1", "application/yaml")]
)
async def test_other_types_are_not_acceptable(target: str, accept: str) -> None:
    assert (await _get(target, accept=accept)).status == 406


async def test_known_etag_needs_no_body() -> None:
    etag = dict((await _get("/openapi/v2")).headers)["ETag"]
    again = await _get("/openapi/v2", if_none_match=etag)
    assert (again.status, again.body) == (304, b"")


async def test_hash_makes_a_document_immutable_and_a_stale_one_redirects() -> None:
    stale = await _get("/openapi/v3/api/v1?hash=0")
    address = dict(stale.headers)["Location"]
    fresh = await _get(address, accept_encoding="gzip")
    assert (stale.status, fresh.status) == (301, 200)
    assert {("Cache-Control", "public, immutable"), ("Content-Encoding", "gzip")} <= set(fresh.headers)


@pytest.mark.parametrize("target", ["/openapi/v3/apis/nope/v1", "/openapi/v2.pb", "/openapi/v4"])
async def test_unknown_documents_are_not_found(target: str) -> None:
    with pytest.raises(ApiError, match="could not find"):
        await _get(target)
