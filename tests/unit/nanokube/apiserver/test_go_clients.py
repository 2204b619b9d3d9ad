"""What clients built on client-go say: bodies in protobuf, lists of what they accept, watches that list."""

import asyncio
import struct
from typing import Any

import orjson
import pytest

from nanokube.api import protobuf, protobuf_encoder
from tests.unit.nanokube.apiserver.conftest import Api, FakeStream

PROTOBUF = "application/vnd.kubernetes.protobuf"
BOTH = f"{PROTOBUF},application/json"  # rest.Config.AcceptContentTypes of typed clients
MAPS = "/api/v1/namespaces/default/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WATCH_LIST = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


class Client:
    """A typed client of client-go."""

    def __init__(self, api: Api, accept: str) -> None:
        self._api = api
        self.accept = accept

    async def send(self, method: str, path: str, body: Any = None, content_type: str = PROTOBUF) -> Any:
        """Send a request; return the code and the object answered."""
        data = body
        if body is not None and content_type == PROTOBUF:
            data = protobuf_encoder.encode(body)
        headers = {"accept": self.accept}
        reply = await self._api(method, path, data, content_type=content_type, headers=headers)
        is_protobuf = reply.content_type == PROTOBUF
        return reply.code, protobuf.decode(reply.body) if is_protobuf else orjson.loads(reply.body)

    async def watch(self, path: str, group: asyncio.TaskGroup) -> FakeStream:
        """Begin to watch."""
        return await self._api.watch(path, group, headers={"accept": self.accept})

    def events(self, stream: FakeStream) -> list[tuple[str, Any]]:
        """Read what a watch has said so far: type and object."""
        data = b"".join(stream.written)
        if self.accept != PROTOBUF:
            return [(e["type"], e["object"]) for e in map(orjson.loads, data.splitlines())]
        found = []
        while data:
            [size] = struct.unpack(">I", data[:4])
            found.append(_event(data[4 : 4 + size]))
            data = data[4 + size :]
        return found


def _event(message: bytes) -> tuple[str, Any]:
    """Read a metav1.WatchEvent: the type (field 1) and RawExtension (field 2) of an enveloped object."""
    size = message[1]
    return message[2 : 2 + size].decode(), protobuf.decode(message[message.index(protobuf.MAGIC) :])


@pytest.fixture(params=[BOTH, PROTOBUF], ids=["both", "protobuf"])
def go(api: Api, request: pytest.FixtureRequest) -> Client:
    return Client(api, request.param)


def lease(holder: str, seconds: int, **metadata: Any) -> dict[str, Any]:
    stamp = f"2026-01-01T00:00:{seconds:02}.000001Z"
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "acquireTime": stamp, "renewTime": stamp}
    head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    return {**head, "metadata": {"name": "leader", "namespace": "default", **metadata}, "spec": spec}


async def test_leaders_are_elected_by_leases(go: Client) -> None:
    assert (await go.send("GET", f"{LEASES}/leader"))[0] == 404
    code, first = await go.send("POST", LEASES, lease("one", 1))
    assert (code, first["spec"]["holderIdentity"]) == (201, "one")
    assert first["spec"]["renewTime"] == "2026-01-01T00:00:01.000001Z"
    version = first["metadata"]["resourceVersion"]
    code, renewed = await go.send("PUT", f"{LEASES}/leader", lease("one", 2, resourceVersion=version))
    assert code == 200
    code, refused = await go.send("PUT", f"{LEASES}/leader", lease("two", 3, resourceVersion=version))
    assert (code, refused["reason"]) == (409, "Conflict")
    version = renewed["metadata"]["resourceVersion"]
    code, taken = await go.send("PUT", f"{LEASES}/leader", lease("two", 4, resourceVersion=version))
    assert (code, taken["spec"]["holderIdentity"]) == (200, "two")


async def test_informers_watch_from_an_empty_cache(go: Client) -> None:
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    body = {**head, "metadata": {"name": "a"}, "data": {"k": "v"}, "binaryData": {"b": "AAH/"}}
    assert (await go.send("POST", MAPS, body))[0] == 201
    async with asyncio.TaskGroup() as group:
        stream = await go.watch(f"{MAPS}?{WATCH_LIST}", group)
        patch = b'{"data":{"k":"w"}}'
        await go.send("PATCH", f"{MAPS}/a", patch, "application/strategic-merge-patch+json")
        await asyncio.sleep(0.005)
        stream.abort()
    events = go.events(stream)
    assert [type_ for type_, _ in events] == ["ADDED", "BOOKMARK", "MODIFIED"]
    assert events[0][1]["binaryData"] == {"b": "AAH/"}
    assert events[1][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert events[2][1]["data"] == {"k": "w"}


async def test_controllers_write_status_and_events(go: Client) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    code, made = await go.send("POST", DEPLOYMENTS, body)
    assert (code, made["metadata"]["generation"]) == (201, 1)
    made["status"] = {"observedGeneration": 1, "replicas": 2}
    code, written = await go.send("PUT", f"{DEPLOYMENTS}/d/status", made)
    assert (code, written["status"]["replicas"]) == (200, 2)
    patch = b'{"status":{"readyReplicas":1}}'
    code, written = await go.send("PATCH", f"{DEPLOYMENTS}/d/status", patch, "application/merge-patch+json")
    assert (code, written["status"]["readyReplicas"], written["spec"]["replicas"]) == (200, 1, 2)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "d.1", "namespace": "default"},
        "involvedObject": {"kind": "Deployment", "name": "d", "namespace": "default"},
        "reason": "Scaled",
        "message": "told",
        "type": "Normal",
        "count": 1,
        "source": {"component": "controller"},
    }
    path = "/api/v1/namespaces/default/events"
    assert (await go.send("POST", path, event))[0] == 201
    code, listed = await go.send("GET", f"{path}?fieldSelector=involvedObject.name%3Dd")
    assert (code, [each["reason"] for each in listed["items"]]) == (200, ["Scaled"])
