"""The servers that share a store, and whether each has a file of keys: before any writes by a new one.

A server that is off is one too: what is written by a key that it lacks ends it at its next start. etcd's
members tell of those; in a store that is not ours (`--store etcd://…`) each server has left its address.
"""

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from nanokube.api import errors
from nanokube.client import kubeconfig, rest
from nanokube.kit import addresses
from nanokube.roles import config as node_config
from nanokube.roles import encryption_keys, etcd
from nanokube.storage.encryption import configuration, metrics
from nanokube.storage.etcd import members
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.store import NotFound, prefix_end

# As nanokube.apiserver.endpoint_leases names them, beside the objects: servers that run, all that ever did.
LEASES = "/masterleases/"
KNOWN = "/servers/"
TAKEN_S = 10.0  # a server takes a changed file within a second; a large store is read first
LOOK_S = 0.5
ASK_S = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Behind:
    """A server that may not write by a new key yet. cause: one line."""

    address: str
    cause: str
    remedy: str


async def known(config: node_config.NodeConfig) -> Sequence[str]:
    """Return the addresses of all servers, this one's among them. Raises OSError, StoreError."""
    store = etcd.store(config)
    if isinstance(store, Path):
        return [config.first_node_ip]
    if config.store == node_config.ETCD:
        return await members.hosts(dataclasses.replace(store, learns=False))
    return sorted({key.removeprefix(LEASES).removeprefix(KNOWN) for key in await _keys(store)})


async def _keys(store: EtcdSettings) -> list[str]:
    async with etcd.opened(store) as shared:
        found = [await shared.range(each, prefix_end(each)) for each in (LEASES, KNOWN)]
    return [entry.key for each in found for entry in each.entries]


async def forget(config: node_config.NodeConfig, address: str) -> bool:
    """Take a server that is gone for good off the store that it shared; False: it was not known there.

    Raises OSError, StoreError.
    """
    store = etcd.store(config)
    if isinstance(store, Path):
        return False
    async with etcd.opened(store) as shared:
        try:
            await shared.delete(KNOWN + address)
        except NotFound:
            return False
    return True


async def behind(config: node_config.NodeConfig, servers: Sequence[str], digest: str) -> Behind | None:
    """Return the first of the other servers that has not taken the file of this digest; None: all have.

    Raises OSError, KubeconfigError of this server's own files.
    """
    own = kubeconfig.load(config.paths.admin_kubeconfig)
    others = [each for each in servers if each not in config.node_ips]
    deadline = time.monotonic() + TAKEN_S
    while True:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_asked(config, own, each, digest)) for each in others]
        found = next((task.result() for task in asked if task.result()), None)
        if found is None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_S)


async def _asked(
    config: node_config.NodeConfig, own: kubeconfig.Access, address: str, digest: str
) -> Behind | None:
    file = encryption_keys.path(config)
    server = f"https://{addresses.host_port(address, config.api_port)}"
    try:
        async with rest.Client(dataclasses.replace(own, server=server), timeout_s=ASK_S) as client:
            said = (await client.raw("GET", "/metrics")).decode()
    except (OSError, errors.ApiError) as err:
        lost = f"nanokube etcd remove {address}" if config.store == node_config.ETCD else f"--lost {address}"
        remedy = (
            f"switch it on and copy {file} to it; or take it out for good: `nanokube reset` there, "
            f"or if it is lost, {lost}"
        )
        return Behind(address, f"does not answer: {str(err) or type(err).__name__}", remedy)
    if in_use(digest) in said:
        return None
    return Behind(address, f"has another {file.name}", f"copy {file} to it, then call this again")


def in_use(digest: str) -> str:
    """Return the line of a server's metrics that names the file it goes by. Pure."""
    return f'{metrics.IN_USE}{{hash="{digest}"}} 1'


def digest_of(file: Path) -> str:
    """Name what a file holds as servers do. Raises OSError."""
    return configuration.digest(file.read_bytes())
