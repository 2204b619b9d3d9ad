"""A store with encrypted values: what is on disk, what is told, what happens as keys come and go."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from nanokube.kit.clock import SYSTEM
from nanokube.storage.encryption import configuration
from nanokube.storage.encryption import store as encryption
from nanokube.storage.encryption.errors import PluginError, Unreadable
from nanokube.storage.encryption.store import EncryptedStore
from nanokube.storage.memory import MemoryStore
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Compacted, Event
from tests.unit.nanokube.storage.encryption import kmsplugin

SECRET = "/registry/secrets/default/a"
ROOT, END = "/registry/", "/registry0"
PLAIN = b'{"data":{"password":"aHVudGVyMg=="}}'


def config(*keys: str, kind: str = "aesgcm", resource: str = "secrets") -> bytes:
    """Keys by their names; "" stands for identity."""
    providers: list[object] = [
        {kind: {"keys": [{"name": name, "secret": base64.b64encode(name.ljust(32).encode()).decode()}]}}
        if name
        else {"identity": {}}
        for name in keys
    ]
    return _document(resource, providers)


def kms(socket: Path, *more: object) -> bytes:
    plugin = {"apiVersion": "v2", "name": "vault", "endpoint": f"unix://{socket}", "timeout": "1s"}
    return _document("secrets", [{"kms": plugin}, *more])


def _document(resource: str, providers: Sequence[object]) -> bytes:
    rules = [{"resources": [resource], "providers": providers}]
    return json.dumps(
        {"apiVersion": configuration.API_VERSION, "kind": configuration.KIND, "resources": rules}
    ).encode()


@pytest.fixture
async def inner() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    yield store
    await store.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "encryption.yaml"
    path.write_bytes(config("k1", ""))
    return path


async def raw(store: MemoryStore, key: str = SECRET) -> bytes:
    return (await store.range(key)).entries[0].value


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def load(store: EncryptedStore) -> list[Event]:
    """Do as the caches: read all, then follow."""
    told: list[Event] = []
    found = await store.range(ROOT, END)
    await store.watch(ROOT, found.revision, told.extend)
    return told


async def test_values_are_encrypted_below_and_plain_above(inner: MemoryStore, file: Path) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        told = await load(store)
        await store.put(SECRET, PLAIN, expect=0)
        await store.put("/registry/configmaps/default/a", b'{"b":1}')
        assert (await raw(inner)).startswith(b"k8s:enc:aesgcm:v1:k1:")
        assert await raw(inner, "/registry/configmaps/default/a") == b'{"b":1}'
        assert (await store.range(SECRET)).entries[0].value == PLAIN
        assert [event.value for event in told] == [PLAIN, b'{"b":1}']


@pytest.mark.parametrize("kind", ["aesgcm", "aescbc", "secretbox"])
async def test_no_plain_text_is_in_the_file(tmp_path: Path, file: Path, kind: str) -> None:
    file.write_bytes(config("k1", kind=kind))
    inner = await SqliteStore.open(tmp_path / "s.db")
    async with encryption.opened(inner, file, SYSTEM) as store:
        await store.put(SECRET, PLAIN, expect=0)
        await store.put(SECRET, PLAIN + b" ", expect=2)
        on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("s.db*"))
        assert b"secrets/default/a" in on_disk
        assert b"aHVudGVyMg" not in on_disk
    await inner.close()


async def test_what_was_plain_is_read_and_written_again(inner: MemoryStore, file: Path) -> None:
    await inner.put(SECRET, PLAIN)
    async with encryption.opened(inner, file, SYSTEM) as store:
        told = await load(store)
        await until(lambda: bool(told))
        assert (await raw(inner)).startswith(b"k8s:enc:aesgcm:v1:k1:")
        assert [event.value for event in told] == [PLAIN]
        assert await store.rewrite() == 0


async def test_a_new_key_is_taken_and_all_is_written_by_it(inner: MemoryStore, file: Path) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        told = await load(store)
        await store.put(SECRET, PLAIN)
        file.write_bytes(config("k2", "k1"))
        await until(lambda: len(told) == 2)
        assert (await raw(inner)).startswith(b"k8s:enc:aesgcm:v1:k2:")
        file.write_bytes(config("k2"))
        await until(lambda: store.transformer.config == configuration.parse(config("k2")))
        assert (await store.range(SECRET)).entries[0].value == PLAIN
        with pytest.raises(Compacted):  # the old state was written by a key that is gone
            await store.range(SECRET, revision=2)


async def test_a_write_under_way_while_the_key_turns_is_written_again(
    inner: MemoryStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        await load(store)
        put, may_land = inner.put, asyncio.Event()

        async def slowly(key: str, value: bytes, *, expect: int | None = None, expires: float = 0.0) -> int:
            await may_land.wait()
            return await put(key, value, expect=expect, expires=expires)

        monkeypatch.setattr(inner, "put", slowly)
        writing = asyncio.ensure_future(store.put(SECRET, PLAIN, expect=0))
        await asyncio.sleep(0)
        file.write_bytes(config("k2", "k1", ""))
        assert await store.reload()
        assert await store.rewrite() == 0  # nothing was there yet
        may_land.set()
        await writing
        async with asyncio.timeout(5):
            while not (await raw(inner)).startswith(b"k8s:enc:aesgcm:v1:k2:"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_file_that_would_lose_something_is_refused(inner: MemoryStore, file: Path) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        await store.put(SECRET, PLAIN)
        for bad in (config("k2"), b"nonsense", b""):
            file.write_bytes(bad)
            assert not await store.reload()
        file.unlink()
        assert not await store.reload()
        await store.put(SECRET, PLAIN)
        assert (await raw(inner)).startswith(b"k8s:enc:aesgcm:v1:k1:")
        assert store.reloads["success"] == 0
        assert store.reloads["failure"] >= 4


async def test_identity_first_writes_plain_again(inner: MemoryStore, file: Path) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        await store.put(SECRET, PLAIN)
        file.write_bytes(config("", "k1"))
        assert await store.reload()
        await store.rewrite()
        assert await raw(inner) == PLAIN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (config("k2"), f"cannot read {SECRET}: it is encrypted by aesgcm key k1, which is not there"),
        (None, "aesgcm key k1, which is not there"),
        (config("k1").replace(b"azEg", b"azEh"), "aesgcm key k1 is not the one it was encrypted by"),
    ],
)
async def test_a_wrong_or_missing_key_is_named(
    inner: MemoryStore, file: Path, content: bytes | None, message: str
) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        await store.put(SECRET, PLAIN)
    before = await raw(inner)
    if content is None:
        file.unlink()
    else:
        assert content != config("k1")
        file.write_bytes(content)
    with pytest.raises(Unreadable, match=message):
        async with encryption.opened(inner, file, SYSTEM) as store:
            await load(store)
    assert await raw(inner) == before


async def test_a_value_of_another_server_that_cannot_be_read_ends_this_one(
    inner: MemoryStore, file: Path
) -> None:
    async with encryption.opened(inner, file, SYSTEM) as store:
        told = await load(store)
        await inner.put(SECRET, b"k8s:enc:aesgcm:v1:other:xxx")
        await inner.put("/registry/pods/default/a", b"{}")
        assert not store.is_healthy
        assert told == []


async def test_events_keep_their_end(inner: MemoryStore, file: Path) -> None:
    file.write_bytes(config("k1", "", resource="*.*"))
    await inner.put("/registry/events/default/a", b"{}", expires=5.0)
    await inner.put("/registry/masterleases/10.0.0.1", b"{}", expires=5.0)
    async with encryption.opened(inner, file, SYSTEM) as store:
        assert await store.rewrite() == 0
        assert [key for key, _ in inner.expired(9.0)] == [
            "/registry/events/default/a",
            "/registry/masterleases/10.0.0.1",
        ]


async def test_a_plugin_is_asked_once_a_start(inner: MemoryStore, file: Path, tmp_path: Path) -> None:
    socket = tmp_path / "kms.sock"
    file.write_bytes(kms(socket))
    with kmsplugin.serving(socket, kmsplugin.KmsPlugin()) as plugin:
        async with encryption.opened(inner, file, SYSTEM) as store:
            for name in "abc":
                await store.put(f"/registry/secrets/default/{name}", PLAIN)
            assert (await raw(inner)).startswith(b"k8s:enc:kms:v2:vault:")
            assert b"aHVudGVyMg" not in await raw(inner)
        assert plugin.calls == ["Status", "Encrypt"]
        async with encryption.opened(inner, file, SYSTEM) as store:
            assert [e.value for e in (await store.range(ROOT, END)).entries] == [PLAIN] * 3
            assert await store.rewrite() == 0
        assert plugin.calls == ["Status", "Encrypt"] * 2 + ["Decrypt"]


async def test_a_plugins_new_key_is_taken(inner: MemoryStore, file: Path, tmp_path: Path) -> None:
    socket = tmp_path / "kms.sock"
    file.write_bytes(kms(socket))
    with kmsplugin.serving(socket, kmsplugin.KmsPlugin()) as plugin:
        async with encryption.opened(inner, file, SYSTEM) as store:
            await store.put(SECRET, PLAIN)
            plugin.key_id = "k2"
            (by,) = store.transformer.plugins.values()
            await asyncio.to_thread(by.poll)
            assert await store.rewrite() == 1
            assert await store.rewrite() == 0
            assert (await store.range(SECRET)).entries[0].value == PLAIN


async def test_a_seed_of_another_server_holds_the_watch_back(
    inner: MemoryStore, file: Path, tmp_path: Path
) -> None:
    socket = tmp_path / "kms.sock"
    file.write_bytes(kms(socket))
    with kmsplugin.serving(socket, kmsplugin.KmsPlugin()):
        async with (
            encryption.opened(inner, file, SYSTEM) as here,
            encryption.opened(inner, file, SYSTEM) as there,
        ):
            told = await load(here)
            await there.put(SECRET, PLAIN)
            assert (told, here.revision) == ([], 1)
            await here.put("/registry/pods/default/a", b"{}")  # waits for what came before it
            assert [(event.value, event.revision) for event in told] == [(PLAIN, 2), (b"{}", 3)]
            assert here.revision == 3


async def test_what_no_plugin_wrote_is_named(inner: MemoryStore, file: Path, tmp_path: Path) -> None:
    socket = tmp_path / "kms.sock"
    file.write_bytes(kms(socket))
    await inner.put(SECRET, b"k8s:enc:kms:v2:vault:\xff\xff")
    with kmsplugin.serving(socket, kmsplugin.KmsPlugin()):
        async with encryption.opened(inner, file, SYSTEM) as store:
            with pytest.raises(Unreadable, match="kms plugin vault is not the one"):
                await load(store)


async def test_many_are_written_again_together(inner: MemoryStore, file: Path) -> None:
    for count in range(200):
        await inner.put(f"/registry/secrets/default/{count}", PLAIN)
    async with encryption.opened(inner, file, SYSTEM) as store:
        assert await store.rewrite() == 200
        assert await store.rewrite() == 0


async def test_a_failing_plugin_is_named(inner: MemoryStore, file: Path, tmp_path: Path) -> None:
    socket = tmp_path / "kms.sock"
    file.write_bytes(kms(socket))
    with pytest.raises(PluginError, match="cannot status by kms plugin vault: UNAVAILABLE"):
        async with encryption.opened(inner, file, SYSTEM):
            pass
    with kmsplugin.serving(socket, kmsplugin.KmsPlugin()) as plugin:
        async with encryption.opened(inner, file, SYSTEM) as store:
            assert store.are_plugins_healthy()
            plugin.healthz = "sealed"
            (by,) = store.transformer.plugins.values()
            with pytest.raises(PluginError, match="it says: sealed"):
                by.poll()
            assert not store.are_plugins_healthy()
            await store.put(SECRET, PLAIN)  # for some minutes
