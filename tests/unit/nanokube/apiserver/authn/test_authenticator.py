"""Whom requests act as: nobody, whose token, whose word. What is expected is what a real server answered."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from nanokube.apiserver.authn.websocket_token import PREFIX
from tests.unit.nanokube.apiserver.conftest import PODS, Api

EXEC = f"{PODS}/x/exec?command=a&stdout=1"
SOCKET = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def token(api: Api) -> str:
    account = {"metadata": {"name": "sa", "namespace": "default"}}
    await api("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    asked = "/api/v1/namespaces/default/serviceaccounts/sa/token"
    reply = await api("POST", asked, {"spec": {"audiences": [], "expirationSeconds": 600}})
    return str(reply.json["status"]["token"])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/", 'forbidden: User "system:anonymous" cannot get path "/"'),
        ("/api", 'forbidden: User "system:anonymous" cannot get path "/api"'),
        ("/livez/ping", 'forbidden: User "system:anonymous" cannot get path "/livez/ping"'),
        ("/nope", 'forbidden: User "system:anonymous" cannot get path "/nope"'),
        (
            "/api/v1/pods",
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
            "at the cluster scope",
        ),
    ],
)
async def test_who_says_nothing_is_anonymous(api: Api, target: str, said: str) -> None:
    reply = await api("GET", target, certificate=None)
    assert (reply.code, reply.json["message"]) == (403, said)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Basic YTpi", 403),
        ("Token {}", 403),
        ("Bearer", 403),
        ("Bearer ", 403),
        ("Bearer  {}", 403),
        ("Bearer nope", 401),
        ("Bearer {}", 200),
        ("bearer {}", 200),
        (" Bearer {}", 200),
        ("Bearer {} x", 200),
    ],
)
async def test_what_is_no_bearer_token_is_not_looked_at(api: Api, said: str, code: int) -> None:
    headers = {"authorization": said.format(await token(api))}
    assert (await api("GET", "/api", headers=headers, certificate=None)).code == code


async def test_an_anonymous_user_acts_as_nobody(api: Api) -> None:
    reply = await api("GET", "/api", headers={"impersonate-user": "admin"}, certificate=None)
    assert reply.code == 403
    assert 'User "system:anonymous" cannot impersonate resource "users"' in reply.json["message"]


@pytest.mark.parametrize(
    ("name", "groups", "expected"),
    [
        ("bob", [], ["system:authenticated"]),
        ("bob", ["a"], ["a", "system:authenticated"]),
        ("bob", ["system:authenticated", "a"], ["system:authenticated", "a"]),
        ("system:anonymous", ["system:authenticated"], ["system:authenticated", "system:unauthenticated"]),
    ],
)
async def test_groups_of_who_is_acted_as(api: Api, name: str, groups: list[str], expected: list[str]) -> None:
    headers: Any = [("impersonate-user", name), *(("impersonate-group", each) for each in groups)]
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    reply = await api("POST", reviews, {}, headers=headers)
    assert reply.json["status"]["userInfo"] == {"username": name, "groups": expected}


@pytest.mark.parametrize("name", ["bob", "system:anonymous"])
async def test_who_is_acted_as_unauthenticated_is_not_authenticated(api: Api, name: str) -> None:
    headers = {"impersonate-user": name, "impersonate-group": "system:unauthenticated"}
    assert (await api("GET", "/api", headers=headers)).code == 403
    assert (await api("GET", "/version", headers=headers)).code == 200


def offered(*protocols: str) -> dict[str, str]:
    return {**SOCKET, "sec-websocket-protocol": ", ".join(protocols)}


async def test_a_browser_names_its_token_as_a_protocol(api: Api) -> None:
    coded = PREFIX + base64.urlsafe_b64encode((await token(api)).encode()).decode().rstrip("=")
    reply = await api("GET", EXEC, headers=offered("v5.channel.k8s.io", coded), certificate=None)
    assert reply.code == 403
    assert 'User "system:serviceaccount:default:sa" cannot get' in reply.json["message"]


@pytest.mark.parametrize(
    "protocols",
    [
        (PREFIX + "YWRtaW4",),  # no other to answer with
        ("v5.channel.k8s.io", PREFIX + "YWRtaW4"),  # of nobody
        ("v5.channel.k8s.io", PREFIX + "!"),
        ("v5.channel.k8s.io", PREFIX + "_w"),  # no text
        ("v5.channel.k8s.io", PREFIX + "YQ", PREFIX + "YQ"),
    ],
)
async def test_wrong_tokens_of_browsers_are_refused(api: Api, protocols: tuple[str, ...]) -> None:
    assert (await api("GET", EXEC, headers=offered(*protocols), certificate=None)).code == 401
