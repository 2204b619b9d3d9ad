"""What a client is told when the server itself fails."""

import msgspec
import pytest

from nanokube.apiserver import app
from nanokube.kit.http.message import Headers, Peer, Request
from nanokube.storage.store import Broken
from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, Api


def request() -> Request:
    return Request("POST", "/api/v1/pods", Headers(), b"", Peer("192.0.2.1", 1))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Broken("cannot commit: database or disk is full"), "cannot commit: database or disk is full"),
        (ValueError("secret detail"), "see the log of the server, request "),
    ],
)
def test_a_failed_store_is_named_and_a_bug_is_not(error: Exception, said: str) -> None:
    answer = app.failed(request(), error)
    assert isinstance(answer.body, bytes)
    status = msgspec.json.decode(answer.body)
    assert (answer.status, status["reason"]) == (500, "InternalError")
    assert status["message"].startswith(f"Internal error occurred: {said}")
    assert "secret" not in status["message"]


def test_a_body_too_long_gets_a_status() -> None:
    answer = app.refused(413)
    assert isinstance(answer.body, bytes)
    status = msgspec.json.decode(answer.body)
    assert (answer.status, status["reason"], status["code"]) == (413, "RequestEntityTooLarge", 413)
    assert status["message"] == "Request entity too large: limit is 3145728"
    assert app.refused(431).body == b"431 Request Header Fields Too Large"


async def test_an_object_that_goes_while_its_last_finalizer_is_taken_is_not_found(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a", "finalizers": ["a.b/c"]}})
    await api("DELETE", f"{CONFIGMAPS}/a")
    delete = api.store.delete

    async def deleted_by_another(key: str, *, expect: int) -> int:
        await delete(key, expect=expect)
        return await delete(key, expect=expect)

    monkeypatch.setattr(api.store, "delete", deleted_by_another)
    body = {"metadata": {"finalizers": None}}
    reply = await api("PATCH", f"{CONFIGMAPS}/a", body, content_type="application/merge-patch+json")
    assert reply.code == 404
