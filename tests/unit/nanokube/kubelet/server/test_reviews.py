"""Who may use the kubelet's server: certificates, and tokens that the API server reviews."""

from typing import Any

import pytest

from nanokube.api import errors
from nanokube.client.fake import FakeClient
from nanokube.kit import clock
from nanokube.kit.http.message import Certificate, Response
from nanokube.kubelet.server import access, reviews
from nanokube.kubelet.server.reviews import Reviews

SCRAPER = "system:serviceaccount:kube-system:metrics-server"


class Api(FakeClient):
    """Knows one token, and what its owner may do."""

    def __init__(self, *allowed: str) -> None:
        super().__init__()
        self.allowed = set(allowed)
        self.asked: list[str] = []

    async def create(self, resource: Any, obj: Any, *_: Any, **__: Any) -> dict[str, Any]:
        spec = obj["spec"]
        if resource is reviews.TOKENS:
            self.asked.append("token")
            if spec["token"] == "broken":
                raise errors.ApiError("InternalError", 500, "cannot review")
            if spec["token"] != "good":
                return {"status": {"authenticated": False}}
            return {"status": {"authenticated": True, "user": {"username": SCRAPER, "groups": ["scrapers"]}}}
        attributes = spec["resourceAttributes"]
        assert (attributes["resource"], attributes["name"], spec["groups"]) == ("nodes", "n1", ["scrapers"])
        wanted = f"{attributes['verb']} {attributes['subresource']}"
        self.asked.append(wanted)
        return {"status": {"allowed": wanted in self.allowed}}


async def ask(gate: Reviews, token: str, place: str, method: str = "GET") -> int:
    refused = await gate.refusal(None, f"Bearer {token}" if token else "", access.question(method, place))
    return refused.status if refused else 200


@pytest.mark.parametrize(
    ("allowed", "method", "place", "status"),
    [
        ("get metrics", "GET", "metrics", 200),
        ("get metrics", "GET", "stats", 403),
        ("get proxy", "GET", "metrics", 403),  # nodes/proxy does not stand for what has a name of its own
        ("get stats", "GET", "stats", 200),
        ("get healthz", "GET", "healthz", 200),
        ("get proxy", "GET", "healthz", 200),
        ("get configz", "GET", "healthz", 403),
        ("get pods", "GET", "pods", 200),
        ("get proxy", "GET", "containerLogs", 200),
        ("get proxy", "POST", "exec", 403),
        ("create proxy", "POST", "exec", 200),
        ("update proxy", "PUT", "volumes", 200),
        ("get proxy", "DELETE", "volumes", 403),
    ],
)
async def test_a_token_may_what_its_owner_may_on_the_node(
    allowed: str, method: str, place: str, status: int
) -> None:
    assert await ask(Reviews(Api(allowed), "n1"), "good", place, method) == status


async def test_who_shows_nothing_or_an_unknown_token_is_nobody() -> None:
    api = Api("get metrics")
    gate = Reviews(api, "n1")
    assert [await ask(gate, token, "metrics") for token in ("", "bad", "broken")] == [401, 401, 401]
    assert api.asked == ["token", "token"]


async def test_answers_are_kept_for_a_while() -> None:
    api, time = Api("get metrics"), clock.ManualClock()
    gate = Reviews(api, "n1", time)
    for _ in range(3):
        assert await ask(gate, "good", "metrics") == 200
    assert api.asked == ["token", "get metrics"]
    api.allowed.clear()
    time.advance(reviews.ALLOWED_S + 1)
    assert await ask(gate, "good", "metrics") == 403
    api.allowed.add("get metrics")
    time.advance(reviews.DENIED_S + 1)
    assert await ask(gate, "good", "metrics") == 200


async def test_what_is_kept_is_bounded() -> None:
    api = Api()
    gate = Reviews(api, "n1")
    for number in range(reviews.MAX_KEPT + 5):
        await ask(gate, f"guess {number}", "metrics")
    assert len(gate._users) == reviews.MAX_KEPT


@pytest.mark.parametrize(
    ("name", "organizations"), [(access.APISERVER_CLIENT, ()), ("someone", (access.ADMINISTRATORS,))]
)
async def test_the_api_server_and_administrators_need_no_question(
    name: str, organizations: tuple[str, ...]
) -> None:
    api = Api()
    certificate = Certificate(name, organizations, 0.0)
    refused = await Reviews(api, "n1").refusal(certificate, "", access.question("GET", "pods"))
    assert (refused, api.asked) == (None, [])


async def test_other_certificates_are_asked_about() -> None:
    api = FakeClient()
    api.fail_next("create", reviews.ACCESSES, ConnectionError("no route"))
    gate = Reviews(api, "n1")
    certificate = Certificate("someone", ("team",), 0.0)
    refused = await gate.refusal(certificate, "", access.question("GET", "pods"))
    assert isinstance(refused, Response)
    assert refused.status == 500
