"""A group-version of another server, as clients of this one see it."""

from __future__ import annotations

import asyncio
import base64
import datetime
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
import yarl

from nanokube.api import resources
from nanokube.api.openapi import archive
from nanokube.apiserver import openapi as server_openapi
from nanokube.kit import pki
from nanokube.kit.http.message import Certificate, Headers
from tests.unit.nanokube.apiserver.aggregator import extension
from tests.unit.nanokube.apiserver.aggregator.conftest import NAME, SERVICES, Front, eventually

PATH = "/apis/metrics.k8s.io/v1beta1"
ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def test_requests_reach_the_extension_server_with_the_user(front: Front) -> None:
    await front.register()
    condition = await front.becomes("Passed")
    assert (condition["status"], condition["message"]) == ("True", "all checks passed")
    url = yarl.URL(f"{front.base}{PATH}/nodes?limit=5&x=%2F", encoded=True)
    async with front.client.get(url) as answer:
        assert answer.status == 200
        assert (await answer.json())["user"] == "jane"
    seen = front.behind.requests[-1]
    assert seen.raw_path == f"{PATH}/nodes?limit=5&x=%2F"
    assert seen.headers["X-Remote-User"] == "jane"
    assert seen.headers["X-Remote-Uid"] == "u1"
    assert seen.headers.getall("X-Remote-Group") == ["developers", "readers", "system:authenticated"]
    assert "Authorization" not in seen.headers
    assert seen.headers["X-Forwarded-For"] == "127.0.0.1"


async def test_connections_are_kept(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    front.behind.peers.clear()
    for path in ("nodes", "nodes/again", "nodes", "nodes"):
        async with front.client.get(f"{front.base}{PATH}/{path}") as answer:
            assert answer.status == 200
            await answer.read()
    assert len(front.behind.peers) <= 2, "one of the monitor's, which may be busy, and one more"


async def test_nobody_gives_themselves_a_name(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    forged = {"X-Remote-User": "root", "X-Remote-Group": "system:masters", "X-Remote-Extra-A": "b"}
    async with front.client.get(f"{front.base}{PATH}/nodes", headers=forged) as answer:
        assert (await answer.json())["user"] == "jane"
    seen = front.behind.requests[-1]
    assert "system:masters" not in seen.headers.getall("X-Remote-Group")
    assert "X-Remote-Extra-A" not in seen.headers


async def test_who_may_not_is_refused_here(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    count = len(front.behind.requests)
    reply = await front.api("GET", f"{PATH}/nodes", certificate=Certificate("joe", (), 4e9))
    assert reply.code == 403
    assert len(front.behind.requests) == count


async def test_bodies_are_streamed_beyond_our_own_limit(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    body = bytes(range(256)) * (5 << 12)  # 5 MiB
    async with front.client.post(f"{front.base}{PATH}/nodes", data=io.BytesIO(body)) as answer:
        assert (answer.status, await answer.json()) == (201, {"size": len(body)})
    assert front.behind.body == body
    assert front.behind.requests[-1].headers["Content-Length"] == str(len(body))

    async def parts() -> AsyncIterator[bytes]:
        yield b"some"
        yield b"thing"

    async with front.client.put(f"{front.base}{PATH}/nodes/a", data=parts()) as answer:
        assert (await answer.json()) == {"size": 9}


async def test_a_watch_comes_as_it_happens_and_ends_with_its_client(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with front.client.get(f"{front.base}{PATH}/nodes?watch=1") as answer:
        assert answer.headers["Content-Type"].startswith("application/json")
        for n in range(3):
            await front.behind.changes.put({"n": n})
            assert await answer.content.readline() == b'{"n":%d}\n' % n
    async with asyncio.timeout(10):
        await front.behind.gone.wait()


async def test_upgrades_go_through(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with front.client.ws_connect(f"{front.base}{PATH}/nodes/a/echo") as socket:
        await socket.send_str("hello")
        assert (await socket.receive_str()) == "HELLO"
    assert front.behind.requests[-1].headers["X-Remote-User"] == "jane"


async def test_answers_come_back_as_they_are_but_no_redirects(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with front.client.get(f"{front.base}{PATH}/nodes/again") as answer:
        assert (answer.headers["X-Two"], answer.headers["Warning"]) == ("a", '299 - "old"')
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert await answer.text() == "again"
    async with front.client.get(f"{front.base}{PATH}/nodes/moved", allow_redirects=False) as answer:
        assert answer.status == 502
        assert (
            await answer.text() == "the backend attempted to redirect this request, which is not permitted\n"
        )


async def test_what_is_not_available_is_503(front: Front) -> None:
    await front.register_only()
    async with front.client.get(f"{front.base}{PATH}/nodes") as answer:
        assert (answer.status, await answer.text()) == (503, "service unavailable\n")
    condition = await front.becomes("ServiceNotFound")
    assert condition["message"] == 'service/metrics in "kube-system" is not present'
    async with front.client.get(front.base + PATH) as answer:
        assert answer.status == 503


async def test_an_authority_that_does_not_vouch_for_the_server(front: Front) -> None:
    other = pki.Authority.create("other", datetime.datetime.now(datetime.UTC)).pair.certificate
    await front.register(caBundle=base64.b64encode(other).decode())
    condition = await front.becomes("FailedDiscoveryCheck")
    assert condition["status"] == "False"
    assert "tls: failed to verify certificate: x509" in condition["message"]


async def test_a_server_may_be_believed_blindly(front: Front) -> None:
    await front.register(caBundle=None, insecureSkipTLSVerify=True)
    await front.becomes("Passed")
    async with front.client.get(f"{front.base}{PATH}/nodes") as answer:
        assert answer.status == 200


async def test_a_server_that_falls_ill_is_stale_and_comes_back(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    front.behind.is_ill = True
    front.api.server.aggregator.monitor._add(NAME)
    condition = await front.becomes("FailedDiscoveryCheck")
    assert "bad status from https://metrics.kube-system.svc:" in condition["message"]
    [group] = [g for g in await _groups(front) if g["metadata"]["name"] == "metrics.k8s.io"]
    assert group["versions"][0]["freshness"] == "Stale"
    assert group["versions"][0]["resources"], "what was served before is still told"
    front.behind.is_ill = False
    await front.becomes("Passed")
    assert (
        b'aggregator_unavailable_apiservice{name="v1beta1.metrics.k8s.io"} 0.0'
        in (await front.api("GET", "/metrics")).body
    )


async def _groups(front: Front) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await front.api("GET", "/apis", headers={"accept": ACCEPT})).json["items"]
    return found


@pytest.mark.parametrize("is_modern", [True, False])
async def test_discovery_has_what_the_extension_server_serves(front: Front, is_modern: bool) -> None:
    front.behind.is_modern = is_modern
    await front.register()
    await front.becomes("Passed")
    groups = await _groups(front)
    assert groups[-1]["metadata"] == {"name": "metrics.k8s.io", "creationTimestamp": None}
    [version] = groups[-1]["versions"]
    assert (version["version"], version["freshness"]) == ("v1beta1", "Current")
    assert version["resources"][0]["resource"] == "nodes"
    assert version["resources"][0]["responseKind"]["kind"] == "NodeMetrics"
    listed = (await front.api("GET", "/apis")).json["groups"]
    assert listed[-1]["preferredVersion"] == {"groupVersion": "metrics.k8s.io/v1beta1", "version": "v1beta1"}
    assert (await front.api("GET", "/apis/metrics.k8s.io")).json["versions"][0]["version"] == "v1beta1"
    async with front.client.get(front.base + PATH) as answer:
        assert (await answer.json(content_type=None))["resources"][0]["name"] == "nodes"
    assert PATH in (await front.api("GET", "/")).json["paths"]


async def test_groups_stand_where_their_priority_belongs(front: Front) -> None:
    await front.register(groupPriorityMinimum=17_850)
    await front.becomes("Passed")
    names = [group["metadata"]["name"] for group in await _groups(front)]
    services = (await front.api("GET", SERVICES)).json["items"]
    priorities = {s["spec"].get("group", ""): s["spec"]["groupPriorityMinimum"] for s in services}
    at = names.index("metrics.k8s.io")
    assert priorities[names[at - 1]] >= 17_850 > priorities[names[at + 1]]


async def test_an_api_service_that_goes_gives_its_group_back_to_this_server(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    assert (await front.api("DELETE", f"{SERVICES}/{NAME}")).code == 200
    async with front.client.get(f"{front.base}{PATH}/nodes") as answer:
        listed = await answer.json()
    assert listed == {
        "kind": "NodeMetricsList",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [],
    }
    [own] = [g for g in await _groups(front) if g["metadata"]["name"] == "metrics.k8s.io"]
    assert [r["resource"] for r in own["versions"][0]["resources"]] == ["nodes", "pods"]


async def test_openapi_has_what_is_theirs_and_nothing_else(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    documents = front.api.server.aggregator.documents
    await eventually(lambda: _value(documents.openapi_addresses()), bool)
    key = "apis/metrics.k8s.io/v1beta1"
    assert documents.openapi_addresses() == {key: f"/openapi/v3/{key}?hash=1"}
    await eventually(lambda: _value(documents.openapi_parts()), bool)
    [part] = documents.openapi_parts()
    assert list(part.paths) == [f"{PATH}/nodes"]
    assert list(part.definitions) == ["metrics.NodeMetrics"]
    async with front.client.get(f"{front.base}/openapi/v3/{key}?hash=1") as answer:
        assert (await answer.json()) == {"openapi": "3.0.0"}
    assert front.behind.requests[-1].headers["X-Remote-User"] == "system:aggregator"


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    built = archive.build([resources.get("deployments.apps")])
    monkeypatch.setattr(server_openapi, "_made_elsewhere", lambda: built)


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("has_openapi", [True, False])
async def test_openapi_documents_are_whole_with_and_without_theirs(front: Front, has_openapi: bool) -> None:
    front.behind.has_openapi = has_openapi
    before = (await front.api("GET", "/openapi/v2")).json
    await front.register()
    await front.becomes("Passed")
    documents = front.api.server.aggregator.documents
    await eventually(lambda: _value(documents.openapi_parts()), bool)
    after = (await front.api("GET", "/openapi/v2")).json
    added = after["paths"].keys() - before["paths"].keys()
    assert added == ({f"{PATH}/nodes"} if has_openapi else set())
    assert ("metrics.NodeMetrics" in after["definitions"]) is has_openapi
    index = (await front.api("GET", "/openapi/v3")).json["paths"]
    assert ("apis/metrics.k8s.io/v1beta1" in index) is has_openapi
    assert "apis/apps/v1" in index


@pytest.mark.usefixtures("_small")
async def test_version_3_is_made_of_version_2_where_that_is_all(front: Front) -> None:
    front.behind.has_version_3 = False
    front.behind.definition = {"properties": {"usage": {"$ref": "#/definitions/metrics.NodeMetrics"}}}
    await front.register()
    await front.becomes("Passed")
    documents = front.api.server.aggregator.documents
    await eventually(lambda: _value(documents.openapi_older()), bool)
    key = "apis/metrics.k8s.io/v1beta1"
    index = (await front.api("GET", "/openapi/v3")).json["paths"]
    found = (await front.api("GET", index[key]["serverRelativeURL"])).json
    assert list(found["paths"]) == [f"{PATH}/nodes"]
    usage = found["components"]["schemas"]["metrics.NodeMetrics"]["properties"]["usage"]
    assert usage == {"$ref": "#/components/schemas/metrics.NodeMetrics"}
    assert (await front.api("DELETE", f"{SERVICES}/{NAME}")).code == 200
    await eventually(lambda: _value(not documents.openapi_older()), bool)
    assert key not in (await front.api("GET", "/openapi/v3")).json["paths"]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    "definition",
    [
        {"properties": []},
        {"properties": {"a": 5}},
        {"required": 7, "maximum": "much"},
        orjson.loads(b'{"items":' * 400 + b"{}" + b"}" * 400),
    ],
)
async def test_openapi_that_is_none_spoils_nothing(front: Front, definition: Any) -> None:
    front.behind.has_version_3 = False
    front.behind.definition = definition
    await front.register()
    await front.becomes("Passed")
    documents = front.api.server.aggregator.documents
    await documents.learn_openapi(documents._table.all()[0])
    for path in ("v2", "v3", "v3/apis/apps/v1"):
        assert (await front.api("GET", f"/openapi/{path}")).code == 200
    proto = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    assert (await front.api("GET", "/openapi/v2", headers={"accept": proto})).code == 200


async def test_who_leaves_before_the_answer_ends_the_request(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_slow(front))
        await eventually(lambda: _value(front.behind.requests[-1].path), lambda path: path.endswith("/slow"))
        task.cancel()
    async with asyncio.timeout(10):
        await front.behind.gone.wait()


async def test_who_does_not_read_holds_the_extension_server_up(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with front.client.get(f"{front.base}{PATH}/nodes/long") as answer:
        assert await answer.content.readexactly(1 << 20) == bytes(1 << 20)
        sent = -1
        while sent != front.behind.sent:
            sent = front.behind.sent
            await asyncio.sleep(0.1)
        assert sent < 64 << 20  # what the sockets between hold
        answer.close()


async def _slow(front: Front) -> None:
    async with front.client.get(f"{front.base}{PATH}/nodes/slow"):
        raise AssertionError("it answered")


async def _value(found: object) -> object:
    return found


async def test_a_way_that_leads_back_ends(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with front.client.get(f"{front.base}{PATH}/nodes"):
        via = front.behind.requests[-1].headers["Via"]
    async with front.client.get(f"{front.base}{PATH}/nodes", headers={"Via": via}) as answer:
        assert answer.status == 508


async def test_local_api_services_come_back_when_deleted(front: Front) -> None:
    await eventually(lambda: front.api("GET", f"{SERVICES}/v1.apps"), lambda r: r.code == 200)
    assert (await front.api("DELETE", f"{SERVICES}/v1.apps")).code == 200
    await eventually(lambda: front.api("GET", f"{SERVICES}/v1.apps"), lambda r: r.code == 200)


async def test_extension_servers_learn_whom_to_believe(front: Front) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    found = await eventually(lambda: front.api("GET", path), lambda r: r.code == 200)
    data = found.json["data"]
    assert data["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'
    assert data["requestheader-extra-headers-prefix"] == '["X-Remote-Extra-"]'
    proxies = extension.front_proxy_authority().pair.certificate.decode()
    assert data["requestheader-client-ca-file"] == proxies
    assert data["client-ca-file"].startswith("-----BEGIN CERTIFICATE")
    broken = [{"op": "remove", "path": "/data/requestheader-client-ca-file"}]
    form = "application/json-patch+json"
    assert (await front.api("PATCH", path, broken, content_type=form)).code == 200
    read = lambda: front.api("GET", path)  # noqa: E731
    await eventually(read, lambda r: r.json["data"].get("requestheader-client-ca-file") == proxies)
    assert (await front.api("DELETE", path)).code == 200
    await eventually(read, lambda r: r.code == 200)


def _certificate(authority: pki.Authority, name: str) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = authority.issue(pki.Subject(name), datetime.datetime.now(datetime.UTC)).certificate
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return Certificate(name, (), 4e9, der)


@pytest.mark.parametrize(
    ("authority", "name", "headers", "code", "who"),
    [
        ("front-proxy-ca", "front-proxy-client", {"X-Remote-User": "zoé"}, 201, "zoé"),
        ("front-proxy-ca", "someone", {"X-Remote-User": "zoé"}, 401, ""),
        ("front-proxy-ca", "front-proxy-client", {}, 401, ""),
        ("kubernetes", "front-proxy-client", {"X-Remote-User": "zoé"}, 201, "front-proxy-client"),
    ],
)
async def test_front_proxies_are_believed_by_their_own_authority_only(
    front: Front, authority: str, name: str, headers: dict[str, str], code: int, who: str
) -> None:
    signer = (
        extension.front_proxy_authority() if authority == "front-proxy-ca" else extension.serving_authority()
    )
    wire = {key: value.encode().decode("latin-1") for key, value in headers.items()}
    reply = await front.api(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {},
        headers=wire,
        certificate=_certificate(signer, name),
    )
    assert reply.code == code
    if who:
        assert reply.json["status"]["userInfo"]["username"] == who
        assert "system:authenticated" in reply.json["status"]["userInfo"]["groups"]


async def test_extra_of_users_survives_the_way() -> None:
    from nanokube.apiserver.authn import remote_user
    from nanokube.apiserver.authn.user import User

    user = User("a:b", ("g", "system:authenticated"), "7", (("example.com/pod name%", ("x", "y")),))
    fields = remote_user.fields_of(user)
    assert ("X-Remote-Extra-example.com%2Fpod%20name%25", "x") in fields
    assert remote_user.user_of(Headers(fields)) == user


async def test_without_connections_nothing_is_left(front: Front) -> None:
    await front.register()
    await front.becomes("Passed")
    async with aiohttp.ClientSession() as nobody, nobody.get(f"{front.base}{PATH}/nodes") as answer:
        assert answer.status == 403
