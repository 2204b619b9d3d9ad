"""A whole API server over the memory store, driven through its handler: no sockets, no TLS."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from nanokube.apiserver.assemble import Server, assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit import pki
from nanokube.kit.clock import ManualClock
from nanokube.kit.http.message import Answer, Certificate, Headers, Peer, Request, Response, StreamResponse
from nanokube.kit.http.stream import Stream
from nanokube.storage.memory import MemoryStore
from nanokube.storage.store import Event, Store

Histories = dict[str, list[Event]]
MASTERS = Certificate("admin", ("system:masters",), 4e9)


class Reply:
    """An answer, decoded."""

    def __init__(self, answer: Response) -> None:
        self.code = answer.status
        self.headers = Headers(answer.headers)
        self.content_type = answer.content_type
        self.body = b"".join(answer.parts)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class FakeStream(Stream):
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self._gone = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def write_framed(self, framed: bytes) -> None:
        self.written.append(framed[framed.index(b"\r\n") + 2 : -2])

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await self._gone.wait()

    @property
    def closed(self) -> bool:
        return self._gone.is_set()

    def abort(self) -> None:
        self._gone.set()

    @property
    def events(self) -> list[Any]:
        return [orjson.loads(line) for line in b"".join(self.written).splitlines()]


class Api:
    """A client of the handler."""

    def __init__(self, server: Server, store: Store, clock: ManualClock) -> None:
        self.server = server
        self.store = store
        self.clock = clock

    async def answer(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        certificate: Certificate | None = MASTERS,
    ) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name for name, _ in given}
        default = (("content-type", content_type), ("user-agent", "test/1"))
        fields = Headers([*(each for each in default if each[0] not in names), *given])
        upgrade = fields.get("upgrade").lower()
        request = Request(method, target, fields, raw, Peer("127.0.0.1", 1, certificate), upgrade=upgrade)
        found = self.server.app.handle(request)
        return await found if inspect.isawaitable(found) else found

    async def __call__(self, method: str, target: str, body: Any = None, **options: Any) -> Reply:
        answer = await self.answer(method, target, body, **options)
        assert isinstance(answer, Response)
        return Reply(answer)

    async def watch(self, target: str, group: asyncio.TaskGroup, **options: Any) -> FakeStream:
        answer = await self.answer("GET", target, **options)
        assert isinstance(answer, StreamResponse)
        stream = FakeStream()

        async def run() -> None:
            await answer.run(stream)

        group.create_task(run())
        await asyncio.sleep(0.005)
        return stream


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pair = pki.signing_pair()
    (folder / "sa.pub").write_bytes(pair.certificate)
    (folder / "sa.key").write_bytes(pair.key)
    (folder / "tokens.csv").write_text('secret-token,jane,u1,"developers,readers"\n')
    return folder


@pytest.fixture(scope="session")
def histories() -> Histories:
    """What each configuration's first start on an empty store wrote; later ones take a fifth of its time."""
    return {}


@pytest.fixture
async def api(keys: Path, histories: Histories) -> AsyncIterator[Api]:
    nowhere = Path("/nonexistent")
    config = ApiServerConfig(
        advertise_address="192.0.2.1",
        tls_cert=nowhere,
        tls_key=nowhere,
        client_ca=nowhere,
        service_account_public_key=keys / "sa.pub",
        service_account_private_key=keys / "sa.key",
        token_file=keys / "tokens.csv",
    )
    store, clock = await started_once(config, histories), ManualClock()
    revision = store.revision
    server = await assemble(config, store, clock)
    assert store.revision == revision, "a second start writes nothing"
    client = Api(server, store, clock)
    account = {"metadata": {"name": "default"}}
    assert (await client("POST", "/api/v1/namespaces/default/serviceaccounts", account)).code == 201
    yield client
    await server.close()
    await store.close()


async def started_once(config: ApiServerConfig, histories: Histories) -> MemoryStore:
    """Return a store as a server of this configuration leaves it when it starts."""
    key = repr(config)
    if key not in histories:
        histories[key] = await first_start(config)
    return await replayed(histories[key])


async def first_start(config: ApiServerConfig) -> list[Event]:
    """Start a server on an empty store; return what that wrote."""
    store, written = MemoryStore(), list[Event]()
    await (await assemble(config, store, ManualClock())).close()
    await store.watch("", 0, written.extend)
    await store.close()
    return written


async def replayed(history: Iterable[Event]) -> MemoryStore:
    """Return a store in which the same was written, under the same revisions."""
    store = MemoryStore()
    for event in history:
        if event.value is None:
            await store.delete(event.key)
        else:
            await store.put(event.key, event.value)
    return store


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "busybox:1"}], **spec},
    }


PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
