"""GETs of what was asked for before: nothing but the meaning of the target is remembered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nanokube.kit.http.message import Certificate, Headers, Peer, Request, Response
from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, Api, configmap
from tests.unit.nanokube.apiserver.test_rbac import BINDINGS, JANE, binding

A = f"{CONFIGMAPS}/a"
BOB = Certificate("bob", (), 4e9)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def asked(api: Api, target: str = A) -> None:
    """Ask so often that everything there is to know is known."""
    for _ in range(3):
        assert (await api("GET", target)).code == 200


async def test_the_object_is_what_it_is_now(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a", k="1"))
    await asked(api)
    first = await api("GET", A)
    changed = await api("PUT", A, configmap("a", k="2"))
    assert (await api("GET", A)).body == changed.body != first.body
    assert (await api("DELETE", A)).code == 200
    gone = await api("GET", A)
    assert (gone.code, gone.json["message"]) == (404, 'configmaps "a" not found')
    again = await api("POST", CONFIGMAPS, configmap("a", k="3"))
    assert (await api("GET", A)).body == again.body


async def test_who_may_is_asked_each_time(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    await api("POST", BINDINGS, binding("b", "view"))
    for _ in range(3):
        assert (await api("GET", A, certificate=JANE)).code == 200
        assert (await api("GET", A, certificate=BOB)).code == 403
    acting = {"impersonate-user": "bob"}
    refused = await api("GET", A, headers=acting)
    assert (refused.code, 'User "bob" cannot get' in refused.json["message"]) == (403, True)
    assert (await api("DELETE", f"{BINDINGS}/b")).code == 200
    refused = await api("GET", A, certificate=JANE)
    assert (refused.code, refused.json["details"]["kind"]) == (403, "configmaps")


@pytest.mark.parametrize("name", ["accept", "user-agent", "accept-encoding"])
async def test_the_form_is_the_one_asked_for(api: Api, name: str) -> None:
    wanted = {"accept": TABLE, "user-agent": "curl/8", "accept-encoding": "gzip"}[name]
    created = await api("POST", CONFIGMAPS, configmap("a", k="x" * 150_000))
    first = await api("GET", A, headers={name: wanted})
    await asked(api)
    again = await api("GET", A, headers={name: wanted})
    assert (again.content_type, again.body) == (first.content_type, first.body)
    assert again.body != created.body
    assert (await api("GET", A)).body == created.body
    assert (await api("GET", f"{A}?pretty=true")).body.startswith(b"{\n")


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("HEAD", A, 405),
        ("GET", f"{A}/status", 404),
        ("GET", f"{A}?resourceVersion=x", 400),
        ("GET", f"/{A}", 404),
    ],
)
async def test_other_requests_mean_what_they_meant(api: Api, method: str, target: str, code: int) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    await asked(api)
    assert (await api(method, target)).code == code


async def test_they_are_counted_as_all_others(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    await asked(api)
    lines = (await api("GET", "/metrics")).body.decode().splitlines()
    found = [line for line in lines if line.startswith("apiserver_request_total") and '"configmaps"' in line]
    assert [line.rpartition(" ")[2] for line in found if 'verb="GET"' in line] == ["3.0"]


async def test_a_group_that_another_server_takes_over_is_asked_there(api: Api) -> None:
    lease = {"metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}}
    group = "/apis/coordination.k8s.io/v1"
    leases = f"{group}/namespaces/default/leases"
    assert (await api("POST", leases, lease)).code == 201
    await asked(api, f"{leases}/a")
    service = {
        "metadata": {"name": "v1.coordination.k8s.io"},
        "spec": {
            "group": "coordination.k8s.io",
            "version": "v1",
            "groupPriorityMinimum": 1,
            "versionPriority": 1,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "other"},
        },
    }
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    assert (await api("POST", services, service)).code == 201
    assert (await api("GET", f"{leases}/a")).code == 503
    assert (await api("DELETE", f"{services}/v1.coordination.k8s.io")).code == 200
    await asked(api, f"{leases}/a")


def shared(*fields: tuple[str, str]) -> Headers:
    """Fields as a connection gives them that remembers them."""
    return Headers(fields)


async def told(api: Api, headers: Headers, target: str = A) -> int:
    answer = api.server.app.handle(Request("GET", target, headers.copy(), b"", Peer("192.0.2.1", 1)))
    assert isinstance(answer, Response)
    return answer.status


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ([("Authorization", "Bearer secret-token")], [403, 200, 403]),
        ([("Authorization", "Bearer wrong")], [401, 401, 401]),
        ([("Authorization", "Bearer secret-token"), ("Impersonate-User", "x")], [403, 403, 403]),
        ([], [403, 403, 403]),
    ],
)
async def test_remembered_fields_give_nobody_more(
    api: Api, fields: Sequence[tuple[str, str]], codes: list[int]
) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    await asked(api)
    headers, found = shared(*fields), []
    for method, target in (("GET", A), ("POST", BINDINGS), ("DELETE", f"{BINDINGS}/b")):
        await api(method, target, binding("b", "view") if method == "POST" else None)
        found.append({await told(api, headers) for _ in range(3)})
    assert found == [{code} for code in codes]


async def test_the_token_of_an_account_that_is_gone_is_refused_from_then_on(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    await api("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "s"}})
    await api("POST", BINDINGS, binding("b", "view", user="system:serviceaccount:default:s"))
    request = {"spec": {"expirationSeconds": 600}}
    account = "/api/v1/namespaces/default/serviceaccounts/s"
    token = (await api("POST", f"{account}/token", request)).json["status"]["token"]
    headers = shared(("Authorization", f"Bearer {token}"))
    assert [await told(api, headers) for _ in range(3)] == [200, 200, 200]
    api.clock.advance(700)
    assert [await told(api, headers) for _ in range(2)] == [401, 401]
    token = (await api("POST", f"{account}/token", request)).json["status"]["token"]
    headers = shared(("Authorization", f"Bearer {token}"))
    assert await told(api, headers) == 200
    assert (await api("DELETE", account)).code == 200
    assert await told(api, headers) == 401
