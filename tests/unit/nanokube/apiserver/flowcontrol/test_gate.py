"""Flow control of a whole server: classes in the answers, refusals, waiting, upkeep of its objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from nanokube.api import flow_defaults
from nanokube.apiserver.app import App
from nanokube.apiserver.assemble import Server
from nanokube.apiserver.flowcontrol.gate import Gate
from nanokube.kit import virtual_time
from nanokube.kit.http.message import Answer, Certificate, Response, StreamResponse

BASE = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMAS, LEVELS = f"{BASE}/flowschemas", f"{BASE}/prioritylevelconfigurations"
JANE = Certificate("jane", ("developers",), 4e9)
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NAMESPACES = "/api/v1/namespaces"


class Reply(Protocol):
    code: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any: ...


class Api(Protocol):
    server: Server

    async def answer(self, method: str, target: str, body: Any = None, **options: Any) -> Answer: ...

    async def __call__(self, method: str, target: str, body: Any = None, **options: Any) -> Reply: ...


def _app(api: Api) -> App:
    return api.server.app


def _gate(api: Api) -> Gate:
    return _app(api).gate


async def test_the_default_objects_are_there(api: Api) -> None:
    schemas = (await api("GET", SCHEMAS)).json["items"]
    assert {each["metadata"]["name"]: each["spec"] for each in schemas} == {
        **flow_defaults.SUGGESTED_SCHEMAS,
        **flow_defaults.MANDATORY_SCHEMAS,
    }
    levels = (await api("GET", LEVELS)).json["items"]
    assert {each["metadata"]["name"]: each["spec"] for each in levels} == {
        **flow_defaults.SUGGESTED_LEVELS,
        **flow_defaults.MANDATORY_LEVELS,
    }
    assert all(each["metadata"]["annotations"][flow_defaults.AUTO_UPDATE] == "true" for each in levels)
    condition = schemas[0]["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Dangling", "False", "Found")


async def test_the_default_objects_belong_to_upstreams_managers(api: Api) -> None:
    consumer, producer = (f"api-priority-and-fairness-config-{side}-v1" for side in ("consumer", "producer"))
    made = (producer, "Update", "")
    for schema in (await api("GET", SCHEMAS)).json["items"]:
        assert _managers(schema) == {made, (consumer, "Apply", "status")}
    for level in (await api("GET", LEVELS)).json["items"]:
        assert _managers(level) == {made}
    condition = {"type": "Own", "status": "True", "reason": "R", "lastTransitionTime": "2025-06-15T15:06:40Z"}
    change = {"status": {"conditions": [condition]}, **_head("global-default")}
    target = f"{SCHEMAS}/global-default/status?fieldManager=other"
    apply = {"content_type": "application/apply-patch+yaml"}
    found = (await api("PATCH", target, {**change}, **apply)).json
    assert {each["type"] for each in found["status"]["conditions"]} == {"Dangling", "Own"}


def _managers(obj: dict[str, Any]) -> set[tuple[str, str, str]]:
    entries = obj["metadata"]["managedFields"]
    return {(each["manager"], each["operation"], each.get("subresource", "")) for each in entries}


def _head(name: str) -> dict[str, Any]:
    return {"apiVersion": flow_defaults.API_VERSION, "kind": "FlowSchema", "metadata": {"name": name}}


async def test_answers_say_where_they_belong(api: Api) -> None:
    uid = (await api("GET", f"{SCHEMAS}/exempt")).json["metadata"]["uid"]
    for target in (NAMESPACES, "/version", f"{NAMESPACES}/nowhere", f"{NAMESPACES}?watch=1"):
        answer = await api.answer("GET", target)
        assert isinstance(answer, Response | StreamResponse)
        assert f"X-Kubernetes-Pf-Flowschema-Uid: {uid}\r\n".encode() in answer.head
    created = await api.answer("POST", NAMESPACES, {"metadata": {"name": "n"}})
    assert isinstance(created, Response)
    assert uid.encode() in created.head
    refused = await api.answer("GET", NAMESPACES, certificate=JANE)
    assert isinstance(refused, Response)
    assert refused.status == 403
    assert _gate(api).flows["global-default"].head == refused.head


async def _set_up(api: Api, limited: dict[str, Any]) -> None:
    """Send what jane does to a level of her own."""
    level = {"metadata": {"name": "small"}, "spec": {"type": "Limited", "limited": limited}}
    assert (await api("POST", LEVELS, level)).code == 201
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "jane"}}],
        "resourceRules": [{**everything, "clusterScope": True}],
    }
    spec = {
        "priorityLevelConfiguration": {"name": "small"},
        "matchingPrecedence": 100,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [rule],
    }
    assert (await api("POST", SCHEMAS, {"metadata": {"name": "jane"}, "spec": spec})).code == 201
    await api.server.flow_control.settle()
    _gate(api).levels["small"].queues.limit = 1


@asynccontextmanager
async def _slow_writes(api: Api) -> AsyncIterator[asyncio.Event]:
    """Hold every write until the event is set."""
    go, commit = asyncio.Event(), api.server.registry.commit

    async def held(*args: Any, **options: Any) -> Any:
        await go.wait()
        return await commit(*args, **options)

    api.server.registry.commit = held  # type: ignore[method-assign]
    try:
        yield go
    finally:
        go.set()
        api.server.registry.commit = commit  # type: ignore[method-assign]


async def _allow(api: Api) -> None:
    role = {"metadata": {"name": "r"}, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}],
    }
    for plural, obj in (("clusterroles", role), ("clusterrolebindings", binding)):
        assert (await api("POST", f"/apis/rbac.authorization.k8s.io/v1/{plural}", obj)).code == 201


def _create(api: Api, group: asyncio.TaskGroup, name: str) -> asyncio.Task[Reply]:
    async def run() -> Reply:
        body = {"metadata": {"name": name}}
        return await api("POST", "/api/v1/namespaces/default/configmaps", body, certificate=JANE)

    return group.create_task(run())


async def test_without_queues_the_second_is_refused(api: Api) -> None:
    await _allow(api)
    await _set_up(api, {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}})
    async with _slow_writes(api) as go, asyncio.TaskGroup() as group:
        first = _create(api, group, "a")
        await virtual_time.settle()
        reply = await _create(api, group, "b")
        assert (reply.code, reply.headers.get("retry-after")) == (429, "1")
        assert reply.json["reason"] == "TooManyRequests"
        read = await api("GET", "/api/v1/namespaces/default/configmaps", certificate=JANE)
        assert read.code == 429  # a level without a free seat lets nobody in
        assert (await api("GET", NAMESPACES)).code == 200
        go.set()
        assert (await first).code == 201
    assert (await api("GET", "/api/v1/namespaces/default/configmaps", certificate=JANE)).code == 200
    level = _gate(api).levels["small"]
    assert (level.queues.seats, level.queues.running) == (0, 0)
    assert level.flows[0].rejected == {"concurrency-limit": 2}


QUEUE = {"queues": 1, "handSize": 1, "queueLengthLimit": 2}


async def test_with_queues_the_second_waits_its_turn(api: Api) -> None:
    await _allow(api)
    limited = {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Queue", "queuing": QUEUE}}
    await _set_up(api, limited)
    async with _slow_writes(api) as go, asyncio.TaskGroup() as group:
        tasks = [_create(api, group, name) for name in "abcd"]
        await virtual_time.settle()
        level = _gate(api).levels["small"]
        assert (level.queues.running, level.queues.waiting) == (1, 2)
        assert (await tasks[3]).code == 429
        text = (await api("GET", "/debug/api_priority_and_fairness/dump_requests")).body.decode()
        assert [line.split(", ")[:5] for line in text.splitlines()[1:]] == [
            ["small", "jane", "0", "0", "jane"],
            ["small", "jane", "0", "1", "jane"],
        ]
        go.set()
        assert [(await task).code for task in tasks[:3]] == [201, 201, 201]
    assert (level.queues.seats, level.queues.waiting, level.flows[0].dispatched) == (0, 0, 3)
    metrics = (await api("GET", "/metrics")).body.decode()
    labels = '{flow_schema="jane",priority_level="small"}'
    assert f"apiserver_flowcontrol_dispatched_requests_total{labels} 3.0" in metrics
    assert (
        'apiserver_flowcontrol_rejected_requests_total{flow_schema="jane",priority_level="small",'
        'reason="queue-full"} 1.0' in metrics
    )


async def test_who_waits_too_long_is_refused(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr("nanokube.apiserver.flowcontrol.gate.WAIT_S", 0.01)
    await _allow(api)
    limited = {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Queue", "queuing": QUEUE}}
    await _set_up(api, limited)
    async with _slow_writes(api) as go, asyncio.TaskGroup() as group:
        first, second = _create(api, group, "a"), _create(api, group, "b")
        assert (await second).code == 429
        level = _gate(api).levels["small"]
        assert (level.timed_out, level.queues.waiting, level.queues.running) == (1, 0, 1)
        go.set()
        assert (await first).code == 201


async def test_a_schema_without_its_level_dangles(api: Api) -> None:
    await _set_up(api, {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}})
    assert "jane" in _gate(api).flows
    assert (await api("DELETE", f"{LEVELS}/small")).code == 200
    await api.server.flow_control.settle()
    assert "jane" not in _gate(api).flows
    condition = (await api("GET", f"{SCHEMAS}/jane")).json["status"]["conditions"][0]
    assert (condition["status"], condition["reason"]) == ("True", "NotFound")
    assert condition["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "small" but there is no such '
        "object"
    )


async def test_suggested_objects_come_back_unless_taken_over(api: Api) -> None:
    assert (await api("DELETE", f"{LEVELS}/system")).code == 200
    patch = {"spec": {"limited": {"nominalConcurrencyShares": 7}}}
    merge = "application/merge-patch+json"
    assert (await api("PATCH", f"{LEVELS}/workload-low", patch, content_type=merge)).code == 200
    taken = {"metadata": {"annotations": {flow_defaults.AUTO_UPDATE: "false"}}, **patch}
    assert (await api("PATCH", f"{LEVELS}/workload-high", taken, content_type=merge)).code == 200
    await api.server.flow_control.settle()
    shares = {
        name: (await api("GET", f"{LEVELS}/{name}")).json["spec"]["limited"]["nominalConcurrencyShares"]
        for name in ("system", "workload-low", "workload-high")
    }
    assert shares == {"system": 30, "workload-low": 100, "workload-high": 7}


async def test_debug_pages(api: Api) -> None:
    text = (await api("GET", "/debug/api_priority_and_fairness/dump_priority_levels")).body.decode()
    assert text.splitlines()[0].startswith("PriorityLevelName, ActiveQueues, IsIdle")
    assert [line.split(", ")[0] for line in text.splitlines()[1:3]] == ["catch-all", "exempt"]
    queues = (await api("GET", "/debug/api_priority_and_fairness/dump_queues")).body.decode()
    assert len(queues.splitlines()) == 1 + 64 + 64 + 16 + 3 * 128
    assert (await api("GET", "/debug/api_priority_and_fairness/x")).code == 404
    assert (await api("GET", "/debug/api_priority_and_fairness/dump_queues", certificate=JANE)).code == 403
