"""Rotation of the store's keys: what the file goes through, and what is stored in the end."""

import asyncio
import contextlib
import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nanokube.api import errors
from nanokube.apiserver import endpoint_leases
from nanokube.client import rest
from nanokube.kit import clock, files
from nanokube.roles import config as node_config
from nanokube.roles import encryption, encryption_keys, encryption_servers, node
from nanokube.storage.encryption import configuration
from nanokube.storage.encryption import store as encrypted_store
from nanokube.storage.etcd import members
from nanokube.storage.sqlite.store import SqliteStore

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=1)
SECRET = "/registry/secrets/default/a"


@contextlib.contextmanager
def say(_what: str) -> Iterator[None]:
    yield


@pytest.fixture
def config(tmp_path: Path) -> node_config.NodeConfig:
    made = node_config.NodeConfig("n1", "192.0.2.10", root=tmp_path)
    made.paths.pki.mkdir(parents=True)
    files.write_private(encryption_keys.path(made), encryption_keys.render(encryption_keys.fresh(NOW)))
    asyncio.run(_put(made, SECRET, b'{"a":1}'))
    return made


async def _put(config: node_config.NodeConfig, key: str, value: bytes) -> None:
    inner = await SqliteStore.open(config.paths.store / "cluster.db")
    async with encrypted_store.opened(inner, encryption_keys.path(config), clock.SYSTEM) as store:
        await store.put(key, value)
    await inner.close()


def keys(config: node_config.NodeConfig) -> list[str]:
    document = encryption_keys.read(encryption_keys.path(config).read_bytes())
    provider = document["resources"][0]["providers"][0]
    return [key["name"] for key in provider["aesgcm"]["keys"]]


def stored_by(config: node_config.NodeConfig) -> list[tuple[str, int, bool]]:
    return [(each.by, each.count, each.is_current) for each in encryption.status(config)]


def test_the_file_is_what_kubernetes_reads() -> None:
    document = encryption_keys.fresh(NOW)
    found = configuration.parse(encryption_keys.render(document))
    kinds = [type(each) for each in found.providers("", "secrets")]
    assert kinds == [configuration.Local, configuration.Identity]


def test_rotation_leaves_one_new_key(config: node_config.NodeConfig) -> None:
    (first,) = keys(config)
    assert stored_by(config) == [(f"aesgcm key {first}", 1, True)]
    assert encryption.rotate(config, None, say) == encryption.Rotated(is_over=True)
    (second,) = keys(config)
    assert second != first
    assert stored_by(config) == [(f"aesgcm key {second}", 1, True)]


def test_an_interrupted_rotation_goes_on(config: node_config.NodeConfig) -> None:
    file = encryption_keys.path(config)
    begun = encryption_keys.with_new_keys(encryption_keys.read(file.read_bytes()), LATER)
    files.write_private(file, encryption_keys.render(begun))
    second, _first = keys(config)
    assert [is_current for _, _, is_current in stored_by(config)] == [False]
    encryption.rotate(config, None, say)
    assert keys(config) == [second]
    assert stored_by(config) == [(f"aesgcm key {second}", 1, True)]


def test_stages_write_by_a_key_only_once_all_have_it(config: node_config.NodeConfig) -> None:
    (first,) = keys(config)
    encryption.rotate(config, encryption.Stage.ADD, say)
    assert keys(config)[0] == first
    second = keys(config)[1]
    for _ in range(2):  # interrupted, and called again
        encryption.rotate(config, encryption.Stage.USE, say)
        assert keys(config) == [second, first]
    assert stored_by(config) == [(f"aesgcm key {second}", 1, True)]
    assert encryption.rotate(config, encryption.Stage.DROP, say).is_over
    assert keys(config) == [second]
    for stage in (encryption.Stage.USE, encryption.Stage.DROP):
        with pytest.raises(encryption.EncryptionError, match="no rotation is under way"):
            encryption.rotate(config, stage, say)


def test_each_stage_takes_back_what_is_laid_out_for_a_further_server(
    config: node_config.NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the keys of before: a server that joined with them could read nothing written after."""
    gone: list[str] = []

    class Client:
        async def __aenter__(self) -> "Client":
            return self

        async def __aexit__(self, *_: object) -> None:
            return None

        async def delete(self, _resource: object, name: str, namespace: str) -> None:
            gone.append(f"{namespace}/{name}")
            if len(gone) > 1:
                raise errors.not_found(encryption.SECRETS, name)

    async def taken(_config: object, _digest: str) -> None:
        assert len(keys(config)) == 2

    monkeypatch.setattr(node, "running_pid", lambda _place: 1)
    monkeypatch.setattr(encryption, "_taken", taken)
    monkeypatch.setattr(rest.Client, "from_kubeconfig", lambda _path: Client())
    monkeypatch.setattr(encryption, "_rewritten", lambda _config: 0)
    monkeypatch.setattr(encryption, "_demand_taken", lambda *_: None)
    encryption.rotate(config, encryption.Stage.ADD, say)
    assert gone == ["kube-system/nanokube-certs"]
    encryption.rotate(config, encryption.Stage.USE, say)
    assert len(gone) == 2


def test_a_stage_too_early_drops_nothing(config: node_config.NodeConfig) -> None:
    encryption.rotate(config, encryption.Stage.ADD, say)
    with pytest.raises(encryption.EncryptionError, match="under way"):
        encryption.rotate(config, encryption.Stage.ADD, say)
    before = keys(config)
    with pytest.raises(encryption.EncryptionError, match="not written by the newest key yet"):
        encryption.rotate(config, encryption.Stage.DROP, say)
    assert keys(config) == before


def test_what_is_plain_is_told(config: node_config.NodeConfig) -> None:
    async def plain() -> None:
        inner = await SqliteStore.open(config.paths.store / "cluster.db")
        await inner.put("/registry/secrets/default/old", b"{}")
        await inner.put("/registry/configmaps/default/a", b"{}")
        await inner.close()

    asyncio.run(plain())
    assert ("nothing", 1, False) in stored_by(config)
    assert len(stored_by(config)) == 2


def test_two_servers_are_not_rotated_at_once(
    config: node_config.NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a foreign etcd they are counted by the keys that they left, of our own by its members: also those
    that are off. The second would write by a key that is dropped."""

    async def keys(_store: object) -> list[str]:
        running = [f"{endpoint_leases.PREFIX}192.0.2.{host}" for host in (10, 11)]
        return running + [f"{endpoint_leases.KNOWN}192.0.2.{host}" for host in (11, 12, 13)]

    async def hosts(_settings: object) -> list[str]:
        return ["192.0.2.10", "192.0.2.11", "192.0.2.12"]

    monkeypatch.setattr(encryption_servers, "_keys", keys)
    monkeypatch.setattr(members, "hosts", hosts)
    for store, count in (("etcd://192.0.2.99:2379", 4), (node_config.ETCD, 3)):
        shared = dataclasses.replace(config, store=store)
        with pytest.raises(encryption.EncryptionError, match=f"the cluster has {count} servers"):
            encryption.rotate(shared, None, say)


@pytest.mark.parametrize(
    "pid", [1, None]
)  # this server runs, or is off: a foreign etcd can be written then, too
@pytest.mark.parametrize("stage", [encryption.Stage.USE, encryption.Stage.DROP])
def test_no_stage_goes_on_while_a_server_lacks_the_file_of_the_one_before(
    config: node_config.NodeConfig, monkeypatch: pytest.MonkeyPatch, stage: encryption.Stage, pid: int | None
) -> None:
    encryption.rotate(config, encryption.Stage.ADD, say)
    if stage is encryption.Stage.DROP:
        encryption.rotate(config, encryption.Stage.USE, say)
    before = keys(config)
    file = encryption_keys.path(config)
    asked: list[str] = []

    async def behind(_config: object, servers: Sequence[str], digest: str) -> encryption_servers.Behind:
        assert servers == ["192.0.2.10", "192.0.2.11"]
        asked.append(digest)
        return encryption_servers.Behind("192.0.2.11", "does not answer: off", "switch it on")

    monkeypatch.setattr(node, "running_pid", lambda _place: pid)
    monkeypatch.setattr(encryption, "_servers", lambda _config: ["192.0.2.10", "192.0.2.11"])
    monkeypatch.setattr(encryption_servers, "behind", behind)
    with pytest.raises(encryption.EncryptionError, match=r"192\.0\.2\.11 does not answer: off") as caught:
        encryption.rotate(config, stage, say)
    assert caught.value.hint == "switch it on"
    assert keys(config) == before
    assert asked == [encryption_servers.digest_of(file)]


def test_a_server_that_is_lost_is_forgotten_by_its_address(
    config: node_config.NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = dataclasses.replace(config, store="etcd://192.0.2.99:2379")
    left = ["192.0.2.10", "192.0.2.11"]

    async def forget(_config: object, address: str) -> bool:
        was_known = address in left
        left[:] = [each for each in left if each != address]
        return was_known

    async def known(_config: object) -> list[str]:
        return left

    monkeypatch.setattr(encryption_servers, "forget", forget)
    monkeypatch.setattr(encryption_servers, "known", known)
    encryption.forget(shared, "192.0.2.11")
    for asked, address, cause, hint in (
        (shared, "192.0.2.11", "there is no server", "the others are: none"),
        (shared, "192.0.2.10", "is this server", "nanokube reset"),
        (config, "192.0.2.11", "its own", "no other servers"),
        (
            dataclasses.replace(config, store=node_config.ETCD),
            "192.0.2.12",
            "its own",
            "nanokube etcd remove",
        ),
    ):
        with pytest.raises(encryption.EncryptionError, match=cause) as caught:
            encryption.forget(asked, address)
        assert hint in caught.value.hint
    assert left == ["192.0.2.10"]
