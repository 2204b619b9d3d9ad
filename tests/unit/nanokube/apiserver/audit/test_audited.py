"""What requests leave in the log of a whole server."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from nanokube.apiserver.registry.registry import Registry
from nanokube.kit.http.message import StreamResponse
from tests.unit.nanokube.apiserver.audit.conftest import Start
from tests.unit.nanokube.apiserver.conftest import FakeStream

ALL = "rules: [{level: %s}]\n"
METADATA = ALL % "Metadata"
MAPS = "/api/v1/namespaces/default/configmaps"
JANE = {"authorization": "Bearer secret-token"}


def config_map(name: str = "m", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}, **more}


async def test_a_read_leaves_two_events(audited: Start) -> None:
    async with audited(METADATA) as server:
        found = await server.api("GET", "/api/v1/namespaces/default?pretty=1", headers={"audit-id": "mine"})
        events = server.events()
    assert found.code == 200
    assert [event["stage"] for event in events] == ["RequestReceived", "ResponseComplete"]
    assert events[1] == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "mine",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default?pretty=1",
        "verb": "get",
        "user": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "test/1",
        "objectRef": {
            "resource": "namespaces",
            "namespace": "default",
            "name": "default",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2025-06-15T15:06:40.000000Z",
        "stageTimestamp": "2025-06-15T15:06:40.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }
    assert "responseStatus" not in events[0]


async def test_every_answer_names_its_request(audited: Start) -> None:
    async with audited(ALL % "None") as server:
        first = await server.api.answer("GET", "/version")
        second = await server.api.answer("POST", MAPS, config_map())
        third = await server.api.answer("GET", "/version", headers={"audit-id": "x" * 100})
        assert server.events() == []
    ids = [answer.head.partition(b"Audit-Id: ")[2] for answer in (first, second, third)]
    assert ids[0] != ids[1]
    assert len(ids[1]) == 38
    assert ids[2] == b"x" * 100 + b"\r\n"


async def test_levels_say_how_much_of_a_write_is_kept(audited: Start) -> None:
    rules = """omitStages: [RequestReceived]
rules:
- {level: Request, resources: [{group: "", resources: [configmaps], resourceNames: [q]}]}
- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}], verbs: [create, update]}
- {level: Metadata, resources: [{group: "", resources: [secrets, configmaps]}]}
"""
    async with audited(rules) as server:
        await server.api("POST", MAPS, config_map())
        created = server.last()
        await server.api("POST", MAPS, config_map("q"))
        await server.api("PUT", f"{MAPS}/q", config_map("q", data={"b": "2"}))
        updated = server.last()
        patch = {"data": {"c": "3"}}
        await server.api("PATCH", f"{MAPS}/q", patch, content_type="application/merge-patch+json")
        patched = server.last()
        yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: q}\ndata: {d: x}\n"
        apply = f"{MAPS}/q?fieldManager=me&force=true"
        reply = await server.api("PATCH", apply, yaml, content_type="application/apply-patch+yaml")
        assert reply.code == 200
        applied = server.last()
        await server.api("DELETE", f"{MAPS}/q", {"kind": "DeleteOptions", "apiVersion": "v1"})
        deleted = server.last()
        secret = {"metadata": {"name": "s"}, "stringData": {"password": "hidden"}}
        await server.api("POST", "/api/v1/namespaces/default/secrets", secret)
        kept = server.last()
        count = len(server.events())
        text = server.log.read_text()
        await server.api("GET", "/api/v1/pods")
        assert len(server.events()) == count
    assert created["requestObject"] == config_map()
    assert created["responseObject"]["metadata"]["uid"]
    assert created["responseObject"]["metadata"]["managedFields"]
    assert created["objectRef"] == {
        "resource": "configmaps",
        "namespace": "default",
        "name": "m",
        "apiVersion": "v1",
    }
    assert updated["requestObject"] == config_map("q", data={"b": "2"})
    assert "responseObject" not in updated
    assert patched["requestObject"] == patch
    assert applied["requestObject"]["data"] == {"d": "x"}
    assert deleted["requestObject"] == {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert deleted["responseStatus"]["status"] == "Success"
    assert deleted["responseStatus"]["details"]["name"] == "q"
    assert "requestObject" not in kept
    assert kept["objectRef"]["name"] == "s"
    assert "hidden" not in text


async def test_managed_fields_are_left_out_if_so_wanted(audited: Start) -> None:
    rules = "omitManagedFields: true\nrules: [{level: RequestResponse}]\n"
    async with audited(rules) as server:
        await server.api("POST", MAPS, config_map())
        assert "managedFields" not in server.last()["responseObject"]["metadata"]
        await server.api("GET", MAPS)
        assert server.last()["responseObject"]["items"]
        table = "application/json;as=Table;v=v1;g=meta.k8s.io"
        await server.api("GET", MAPS, headers={"accept": table})
        assert server.last()["responseObject"]["kind"] == "Table"
        assert "managedFields" not in server.log.read_text()


async def test_a_long_compressed_answer_is_kept_readable(audited: Start) -> None:
    async with audited(ALL % "RequestResponse") as server:
        await server.api("POST", MAPS, config_map(data={"a": "x" * 200_000}))
        reply = await server.api("GET", f"{MAPS}/m", headers={"accept-encoding": "gzip"})
        assert gzip.decompress(reply.body)
        assert server.last()["responseObject"]["data"] == {"a": "x" * 200_000}
        await server.api("GET", f"{MAPS}/m?pretty=true")
        assert server.last()["responseObject"]["data"] == {"a": "x" * 200_000}


async def test_who_may_not_is_recorded_without_the_object(audited: Start) -> None:
    async with audited(ALL % "RequestResponse") as server:
        reply = await server.api("POST", MAPS, config_map(), headers=JANE, certificate=None)
        event = server.last()
    assert reply.code == 403
    assert event["user"]["username"] == "jane"
    assert event["annotations"] == {
        "authorization.k8s.io/decision": "forbid",
        "authorization.k8s.io/reason": "",
    }
    assert event["responseStatus"]["reason"] == "Forbidden"
    assert event["responseStatus"]["code"] == 403
    assert event["responseObject"]["kind"] == "Status"
    assert "requestObject" not in event


async def test_the_role_that_allowed_is_named(audited: Start) -> None:
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
    }
    async with audited(METADATA) as server:
        await server.api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        assert (await server.api("GET", MAPS, headers=JANE, certificate=None)).code == 200
        reason = server.last()["annotations"]["authorization.k8s.io/reason"]
    assert reason == 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "view" to User "jane"'


async def test_nobody_leaves_one_event(audited: Start) -> None:
    async with audited(ALL % "RequestResponse") as server:
        wrong = {"authorization": "Bearer wrong"}
        assert (await server.api("GET", MAPS, headers=wrong, certificate=None)).code == 401
        (event,) = server.events()
    assert event["stage"] == "ResponseStarted"
    assert event["user"] == {}
    assert event["responseStatus"]["code"] == 401
    assert event["responseStatus"]["message"] == "Unauthorized"
    assert event["responseObject"]["kind"] == "Status"


async def test_what_is_refused_before_anybody_is_asked_leaves_one_event(audited: Start) -> None:
    async with audited(METADATA) as server:
        assert (await server.api("GET", f"{MAPS}?timeout=z")).code == 400
        (event,) = server.events()
    assert event["stage"] == "ResponseStarted"
    assert event["responseStatus"]["message"].endswith('invalid duration "z"')


async def test_a_user_acted_as_is_named_beside_the_one_who_acts(audited: Start) -> None:
    headers = {"impersonate-user": "joe", "impersonate-group": "ops", "impersonate-extra-why": "test"}
    async with audited("rules: [{level: Metadata, users: [admin]}]\n") as server:
        await server.api("GET", MAPS, headers=headers)
        event = server.last()
    assert event["user"]["username"] == "admin"
    assert event["impersonatedUser"] == {
        "username": "joe",
        "groups": ["ops", "system:authenticated"],
        "extra": {"why": ["test"]},
    }


async def test_a_watch_is_recorded_when_it_starts_and_when_it_ends(audited: Start) -> None:
    async with audited(METADATA) as server:
        answer = await server.api.answer("GET", f"{MAPS}?watch=1&timeoutSeconds=60")
        assert isinstance(answer, StreamResponse)
        stream = FakeStream()
        async with asyncio.TaskGroup() as group:
            group.create_task(answer.run(stream))  # type: ignore[arg-type]
            await asyncio.sleep(0.005)
            assert [event["stage"] for event in server.events()] == ["RequestReceived", "ResponseStarted"]
            stream.abort()
        await server.api("GET", "/livez")
        stages = [event["stage"] for event in server.events() if event["verb"] == "watch"]
    assert stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


async def test_a_bug_is_recorded_as_panic(audited: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("a secret")

    async with audited(METADATA) as server:
        monkeypatch.setattr(Registry, "commit", break_)
        assert (await server.api("POST", MAPS, config_map())).code == 500
        event = server.last()
    assert event["stage"] == "Panic"
    assert event["responseStatus"]["message"] == "APIServer panic'd: ZeroDivisionError"


async def test_admission_annotates(audited: Start) -> None:
    labels = {
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/audit": "restricted",
    }
    namespace = {"metadata": {"name": "n", "labels": labels}}
    body = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "serviceAccountName": "default"},
    }
    async with audited(METADATA) as server:
        await server.api("POST", "/api/v1/namespaces", namespace)
        await server.api("POST", "/api/v1/namespaces/n/serviceaccounts", {"metadata": {"name": "default"}})
        assert (await server.api("POST", "/api/v1/namespaces/n/pods", body)).code == 201
        said = server.last()["annotations"]
    assert said["pod-security.kubernetes.io/enforce-policy"] == "baseline:latest"
    found = said["pod-security.kubernetes.io/audit-violations"]
    assert found.startswith('would violate PodSecurity "restricted:latest": allowPrivilegeEscalation')


async def test_batches_are_delivered_at_the_end(audited: Start) -> None:
    async with audited(METADATA, log_mode="batch") as server:
        for _ in range(50):
            await server.api("GET", "/version")
    assert len(server.events()) == 100


async def test_strict_refuses_what_cannot_be_recorded(audited: Start) -> None:
    async with audited(METADATA, log_mode="blocking-strict", log_path="/dev/full") as server:
        created = await server.api("POST", MAPS, config_map())
        read = await server.api("GET", MAPS)
        assert not len(server.api.server.caches.of("configmaps"))
        auditor = server.api.server.auditor
        assert auditor.metrics.rejected._value.get() == 2
        assert auditor.metrics.errors.labels("log")._value.get() >= 2
    assert (created.code, read.code) == (500, 500)
    assert "failed to store audit event" in created.json["message"]


async def test_blocking_answers_though_it_cannot_be_recorded(audited: Start) -> None:
    async with audited(METADATA, log_path="/dev/full") as server:
        assert (await server.api("POST", MAPS, config_map())).code == 201


async def test_metrics_carry_upstreams_names(audited: Start) -> None:
    async with audited(
        "rules: [{level: None, nonResourceURLs: ['/version']}, {level: Metadata}]\n"
    ) as server:
        await server.api("GET", "/version")
        await server.api("GET", MAPS)
        text = (await server.api("GET", "/metrics")).body.decode()
    assert "apiserver_audit_event_total 3.0" in text
    assert 'apiserver_audit_level_total{level="None"} 1.0' in text
    assert 'apiserver_audit_level_total{level="Metadata"} 2.0' in text
    assert "apiserver_audit_requests_rejected_total 0.0" in text


async def test_the_legacy_format_is_one_line_of_text(audited: Start) -> None:
    async with audited("omitStages: [RequestReceived]\n" + METADATA, log_format="legacy") as server:
        await server.api("GET", MAPS, headers={"audit-id": "a"})
        line = server.log.read_text()
    assert line == (
        '2025-06-15T15:06:40.000000Z AUDIT: id="a" stage="ResponseComplete" ip="127.0.0.1" method="list" '
        'user="admin" groups="\\"system:masters\\",\\"system:authenticated\\"" as="<self>" '
        'asgroups="<lookup>" user-agent="test/1" namespace="default" '
        'uri="/api/v1/namespaces/default/configmaps" response="200"\n'
    )
