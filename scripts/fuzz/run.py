"""Runs drawn requests against a server in this process and judges every answer."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nanokube.api import resources
from nanokube.api.resources import ALL, Resource
from nanokube.apiserver.assemble import Server, assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit import pki
from nanokube.kit.clock import SYSTEM
from nanokube.kit.http.message import Answer, Certificate, Headers, Peer, Request, Response, StreamResponse
from nanokube.kit.http.stream import Stream
from nanokube.storage.memory import MemoryStore
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Store
from scripts.fuzz.asks import Ask, Asker
from scripts.fuzz.shadow import Key, Object, Shadow

HANG_S: Final = 10.0
_ADMIN: Final = Certificate("admin", ("system:masters",), 4e9)
# upstream's own: a Pod of two budgets, a version that is to come
_FAIR: Final = ("This pod has more than one PodDisruptionBudget", "Timeout: Too large resource version")


@dataclass(slots=True)
class Report:
    """What came of a run."""

    faults: list[str] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    objects: int = 0
    events: int = 0


class Replica(Stream):
    """The state of one resource as a watch tells it."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.objects: dict[Key, Object] = {}
        self.events = 0
        self.faults: list[str] = []
        self._last = 0
        self._gone = asyncio.Event()

    def write(self, data: bytes) -> None:
        for line in data.splitlines():
            event = json.loads(line)
            obj, type_ = event["object"], event["type"]
            if type_ == "BOOKMARK":
                continue
            self.events += 1
            metadata = obj.get("metadata") or {}
            key = (self.resource.storage_name, metadata.get("namespace", ""), metadata.get("name", ""))
            revision = int(metadata.get("resourceVersion") or 0)
            # the initial state comes in the order of names
            if type_ == "ERROR" or (revision < self._last and type_ != "ADDED"):
                self.faults.append(f"watch of {self.resource.name}: {type_} at {revision} after {self._last}")
            self._last = max(revision, self._last)
            if type_ == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = obj

    def write_framed(self, framed: bytes) -> None:
        self.write(framed[framed.index(b"\r\n") + 2 : -2])

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await self._gone.wait()

    @property
    def closed(self) -> bool:
        return self._gone.is_set()

    def abort(self) -> None:
        self._gone.set()


class Run:
    """One run: its server, its shadow, its report."""

    def __init__(self, server: Server, on_progress: Callable[[int], None]) -> None:
        self._server = server
        self._shadow = Shadow()
        self._on_progress = on_progress
        self._done = 0
        self.report = Report()

    async def _send(self, ask: Ask) -> Answer | None:
        request = Request(
            ask.method, ask.target, Headers(ask.headers.items()), ask.body, Peer("127.0.0.1", 1, _ADMIN)
        )
        started = time.perf_counter()
        answer: Answer | None = None
        try:
            async with asyncio.timeout(HANG_S):
                found = self._server.app.handle(request)
                answer = await found if inspect.isawaitable(found) else found
        except TimeoutError:
            self._fault(ask, "no answer")
        taken = time.perf_counter() - started
        if taken > self.report.slowest_s:
            self.report.slowest_s, self.report.slowest = taken, _about(ask)
        return answer

    def _fault(self, ask: Ask, what: str) -> None:
        self.report.faults.append(f"{_about(ask)}: {what}")

    async def ask(self, ask: Ask) -> tuple[int, Any]:
        """Send a request, judge the form of its answer; return code and decoded body (None if not JSON)."""
        answer = await self._send(ask)
        if isinstance(answer, StreamResponse):
            self.report.codes[answer.status] += 1
            await self._watch_briefly(ask, answer)
            return answer.status, None
        if not isinstance(answer, Response):
            return 0, None
        code, raw = answer.status, b"".join(answer.parts)
        self.report.codes[code] += 1
        body: Any = None
        if answer.content_type.startswith("application/json"):
            body = json.loads(raw)
        if code >= 400:
            self._judge(ask, code, body, answer.content_type)
        return code, body

    def _judge(self, ask: Ask, code: int, body: Any, media: str) -> None:
        """Demand a Status with a reason, and no failure of the server's own."""
        if body is None and media.startswith(("application/yaml", "application/vnd.kubernetes.protobuf")):
            body = {"kind": "Status", "reason": "?", "message": "?", "code": code, "status": "Failure"}
        is_status = (
            isinstance(body, dict) and body.get("kind") == "Status" and body.get("status") == "Failure"
        )
        if not is_status or not body.get("reason") or not body.get("message") or body.get("code") != code:
            self._fault(ask, f"{code} without a Status: {body}")
        elif code >= 500 and not body["message"].startswith(_FAIR):
            self._fault(ask, f"{code} {body['message']}")

    async def _watch_briefly(self, ask: Ask, answer: StreamResponse) -> None:
        assert ask.resource is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.002):
                await answer.run(_Sink(ask.resource))

    async def step(self, ask: Ask) -> None:
        """Send a drawn request and take its answer into the shadow."""
        code, body = await self.ask(ask)
        self._done += 1
        if self._done % 500 == 0:
            self._on_progress(self._done)
        if code >= 300 or ask.method == "GET" or ask.is_dry_run or ask.resource is None:
            return
        resource = ask.resource
        if not resource.is_stored:
            return
        is_object = isinstance(body, dict) and body.get("kind") == resource.kind
        metadata = body.get("metadata") or {} if is_object else {}
        if is_object and ask.method != "DELETE" and "deletionTimestamp" not in metadata:
            self._shadow.put(resource, body)
        elif ask.name or metadata.get("name"):
            await self._look(resource, ask.namespace, ask.name or metadata["name"])
        else:
            await self._look_at_all(resource, ask.namespace, is_delete=ask.method == "DELETE")

    async def _look(self, resource: Resource, namespace: str, name: str) -> None:
        """Learn by a GET what became of an object."""
        code, body = await self.ask(Ask("GET", resource.path(namespace, name), resource=resource))
        if code == 404:
            self._shadow.drop((resource.storage_name, namespace, name))
        elif code == 200:
            self._shadow.put(resource, body)

    async def _look_at_all(self, resource: Resource, namespace: str, *, is_delete: bool) -> None:
        """Learn by a LIST what a deletion of many left, or what an answer in another form was about."""
        _, body = await self.ask(Ask("GET", resource.path(namespace), resource=resource))
        if body is None:
            return
        items = body["items"]
        left = {item["metadata"]["name"] for item in items}
        for key in list(self._shadow.objects):
            if is_delete and key[:2] == (resource.storage_name, namespace) and key[2] not in left:
                self._shadow.drop(key)
        for item in items:
            if item["metadata"]["name"].startswith("w"):
                self._shadow.put(resource, {**item, "apiVersion": resource.api_version})

    async def work(self, asker: Asker, count: int) -> None:
        """Task of one worker."""
        for _ in range(count):
            await self.step(asker.draw(self._shadow.objects))
            await asyncio.sleep(0)

    async def finish(self, replicas: list[Replica], prefixes: list[str]) -> None:
        """Compare what was acknowledged and what watches told with what LIST says."""
        for resource in _stored():
            _, body = await self.ask(Ask("GET", resource.path(), resource=resource))
            found = {
                (resource.storage_name, (m := item["metadata"]).get("namespace", ""), m["name"]): item
                for item in body["items"]
            }
            self.report.objects += len(found)
            mine = Shadow()
            mine.objects = {k: v for k, v in self._shadow.objects.items() if k[0] == resource.storage_name}
            self.report.faults += mine.differences(found, prefixes)
            seen = next(r for r in replicas if r.resource is resource)
            self.report.events += seen.events
            self.report.faults += seen.faults
            told = {key: obj["metadata"]["resourceVersion"] for key, obj in seen.objects.items()}
            live = {key: obj["metadata"]["resourceVersion"] for key, obj in found.items()}
            self.report.faults += [
                f"watch and list differ: {each}" for each in sorted(told.items() ^ live.items())
            ]


class _Sink(Replica):
    """A watch in any form: its bytes are of no interest."""

    def write(self, data: bytes) -> None:
        self.events += 1


def _about(ask: Ask) -> str:
    media = ask.headers.get("content-type", "")
    return f"{ask.method} {ask.target} {media} {ask.body[:1500]!r}"


def _stored() -> list[Resource]:
    return [r for r in ALL if r.is_stored and not r.stored_as and r.plural != "componentstatuses"]


@asynccontextmanager
async def serving(folder: Path, *, on_disk: bool) -> AsyncIterator[Server]:
    """Put a server together in this process, without a socket."""
    pair = pki.signing_pair()
    (folder / "sa.pub").write_bytes(pair.certificate)
    (folder / "sa.key").write_bytes(pair.key)
    store: Store = await SqliteStore.open(folder / "state.db") if on_disk else MemoryStore()
    config = ApiServerConfig(
        advertise_address="192.0.2.1",
        tls_cert=folder / "none",
        tls_key=folder / "none",
        client_ca=folder / "none",
        service_account_public_key=folder / "sa.pub",
        service_account_private_key=folder / "sa.key",
    )
    try:
        yield await assemble(config, store, SYSTEM)
    finally:
        await store.close()


async def fuzz(
    seed: int, count: int, *, workers: int = 4, on_disk: bool = False, on_progress: Callable[[int], None]
) -> Report:
    """Draw count requests and judge them."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), on_disk=on_disk) as server, asyncio.TaskGroup() as group:
            run = Run(server, on_progress)
            askers = [Asker(random.Random(f"{seed}/{each}"), each) for each in range(workers)]
            replicas = [Replica(resource) for resource in _stored()]
            for replica in replicas:
                watch = Ask("GET", f"{replica.resource.path()}?watch=1", resource=replica.resource)
                answer = await run._send(watch)
                assert isinstance(answer, StreamResponse)
                group.create_task(_follow(answer, replica))
            for asker in askers:
                await run.step(_made("namespaces", "", asker.namespace))
                await run.step(_made("serviceaccounts", asker.namespace, "default"))
            await asyncio.sleep(0.05)
            async with asyncio.TaskGroup() as working:
                for asker in askers:
                    working.create_task(run.work(asker, count // workers))
            await asyncio.sleep(0.1)
            await run.finish(replicas, [asker.namespace for asker in askers])
            for replica in replicas:
                replica.abort()
    return run.report


async def _follow(answer: StreamResponse, replica: Replica) -> None:
    await answer.run(replica)


def _made(name: str, namespace: str, called: str) -> Ask:
    resource = resources.get(name)
    body = {"apiVersion": "v1", "kind": resource.kind, "metadata": {"name": called}}
    headers = {"content-type": "application/json"}
    path = resource.path(namespace)
    return Ask("POST", path, json.dumps(body).encode(), headers, resource, namespace)
