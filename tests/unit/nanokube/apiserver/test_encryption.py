"""A server over an encrypted store: the API shows plain Secrets, the store below has none."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanokube.apiserver.assemble import assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit.clock import ManualClock
from nanokube.roles import encryption_keys
from nanokube.storage.encryption import store as encryption
from nanokube.storage.encryption.store import EncryptedStore
from nanokube.storage.memory import MemoryStore
from tests.unit.nanokube.apiserver.conftest import Api

SECRETS = "/api/v1/namespaces/default/secrets"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
async def encrypted(keys: Path, tmp_path: Path) -> AsyncIterator[Api]:
    nowhere, file, clock = Path("/nonexistent"), tmp_path / "encryption.yaml", ManualClock()
    config = ApiServerConfig(
        advertise_address="192.0.2.1",
        tls_cert=nowhere,
        tls_key=nowhere,
        client_ca=nowhere,
        service_account_public_key=keys / "sa.pub",
        service_account_private_key=keys / "sa.key",
    )
    file.write_bytes(encryption_keys.render(encryption_keys.fresh(NOW)))
    inner = MemoryStore()
    async with encryption.opened(inner, file, clock) as store:
        server = await assemble(config, store, clock)
        yield Api(server, store, clock)
        await server.close()
    await inner.close()


async def stored(api: Api) -> bytes:
    assert isinstance(api.store, EncryptedStore)
    return (await api.store.inner.range("/registry/secrets/default/a")).entries[0].value


async def test_secrets_are_plain_in_the_api_alone(encrypted: Api) -> None:
    body = {"metadata": {"name": "a"}, "stringData": {"password": "hunter2"}}
    assert (await encrypted("POST", SECRETS, body)).code == 201
    for target in (f"{SECRETS}/a", f"{SECRETS}/a?resourceVersion=0"):
        assert (await encrypted("GET", target)).json["data"] == {"password": "aHVudGVyMg=="}
    assert (await stored(encrypted)).startswith(b"k8s:enc:aesgcm:v1:")


async def test_watches_see_plain_secrets_and_no_change_by_a_rotation_but_the_version(encrypted: Api) -> None:
    body = {"metadata": {"name": "a"}, "data": {"password": "aHVudGVyMg=="}}
    made = (await encrypted("POST", SECRETS, body)).json
    store = encrypted.store
    assert isinstance(store, EncryptedStore)
    before = await stored(encrypted)
    async with asyncio.TaskGroup() as group:
        target = f"{SECRETS}?watch=1&timeoutSeconds=1&resourceVersion={made['metadata']['resourceVersion']}"
        stream = await encrypted.watch(target, group)
        await store.put("/registry/secrets/default/b", b'{"metadata":{"name":"b","namespace":"default"}}')
        old = (await store.range("/registry/secrets/default/a")).entries[0]
        await store.put(old.key, old.value, expect=old.mod_revision)
        stream.abort()
    changed = stream.events[-1]["object"]
    assert changed["data"] == made["data"]
    assert changed["metadata"].pop("resourceVersion") != made["metadata"].pop("resourceVersion")
    assert changed["metadata"] == made["metadata"]
    assert await stored(encrypted) != before


async def test_it_tells_which_file_is_in_use_and_whether_plugins_answer(encrypted: Api) -> None:
    store = encrypted.store
    assert isinstance(store, EncryptedStore)
    shown = (await encrypted("GET", "/metrics")).body
    digest = store.transformer.config.digest
    line = f'apiserver_encryption_config_controller_last_config_info{{hash="{digest}"}} 1.0'
    assert line.encode() in shown
    assert (await encrypted("GET", "/readyz/kms-providers")).code == 200
