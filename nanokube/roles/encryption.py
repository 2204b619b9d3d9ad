"""How the cluster's values are encrypted at rest, and how their keys are rotated, for the command line.

    rotate: new key first in the file ── the server takes it, writes all again ── the old key leaves the file

Of several servers each has a file of its own, and must have a key before any writes by it: their rotation
goes in stages, with the file copied between them.
"""

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import enum
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api import errors, resources
from nanokube.client import kubeconfig, rest
from nanokube.kit import clock, files
from nanokube.roles import config as node_config
from nanokube.roles import encryption_keys, encryption_servers, etcd, handover, node
from nanokube.storage.backup import Record
from nanokube.storage.encryption import configuration, prefix, transformer
from nanokube.storage.encryption import store as encryption
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.sqlite import copy
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Store, StoreError, prefix_end

SECRETS = resources.get("secrets")
TAKEN_S = 30.0  # a server takes a changed file within a second; a large store is read first
LOOK_S = 0.5
STALLED_S = 60.0
# A write that was encrypted before the server took the new key is in the store by then: etcd's are given up.
SETTLED_S = 2.0
SETTLED_SHARED_S = 15.0


class Stage(enum.StrEnum):
    """A step of a rotation over several servers."""

    ADD = "add"
    USE = "use"
    DROP = "drop"


class EncryptionError(RuntimeError):
    """It cannot be done; the message says why, hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """How many objects of a resource are stored in one way. is_current: they would be again."""

    resource: str
    by: str
    is_current: bool
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did. left: objects that are stored by an old key until they expire."""

    is_over: bool
    left: int = 0


Say = Callable[[str], contextlib.AbstractContextManager[None]]


def status(config: node_config.NodeConfig) -> list[Stored]:
    """Count what is stored in which way; of what is plain, only what should not be. Blocks.

    Raises EncryptionError.
    """
    made = _transformer(config)
    counts: collections.Counter[tuple[str, str, bool]] = collections.Counter()
    for record in _records(config):
        resource = prefix.resource_of(record.key)
        way = prefix.prefix_of(record.value)
        is_current = made.is_current(record.key, record.value)
        if resource and (way or not is_current):
            counts[resource, prefix.spoken(way), is_current] += 1
    return [Stored(*asked, count) for asked, count in sorted(counts.items())]


def rotate(config: node_config.NodeConfig, stage: Stage | None, say: Say) -> Rotated:
    """Change the keys, or go on with a change that was interrupted; with a stage do this step alone. Blocks.

    say: shows what is being done while it is. Raises EncryptionError.
    """
    document = _document(config)
    if not encryption_keys.can_rotate(document):
        raise EncryptionError(
            f"{encryption_keys.path(config)} has no keys that encrypt",
            "a plugin's key is rotated by its service: the server follows",
        )
    servers = _servers(config)
    if stage is None and len(servers) > 1:
        raise EncryptionError(
            f"the cluster has {len(servers)} servers: each needs a key before any writes by it",
            "rotate in stages: --stage add, use, drop; after each copy "
            f"{encryption_keys.path(config)} to the others",
        )
    is_rotating = encryption_keys.is_rotating(document)
    now = datetime.datetime.now(datetime.UTC)
    if stage is Stage.ADD:
        if is_rotating:
            raise EncryptionError("a rotation is under way", "go on with --stage use, then drop")
        with say("new key"):
            _put(config, encryption_keys.with_later_keys(document, now))
        return Rotated(is_over=False)
    if stage is not None and not is_rotating:
        raise EncryptionError("no rotation is under way", "begin with --stage add")
    if stage is Stage.DROP and _begins(document):
        raise EncryptionError("objects are not written by the newest key yet", "call --stage use first")
    if stage is Stage.DROP or (stage is Stage.USE and _begins(document)):
        _demand_taken(config, stage, servers)
    if stage is Stage.USE or (stage is None and is_rotating):
        document = encryption_keys.with_newest_keys_first(document)
    elif stage is None:
        document = encryption_keys.with_new_keys(document, now)
    with say("new key"):
        _put(config, document)
    with say("objects"):
        left = _rewritten(config)
    if left or stage is Stage.USE:
        return Rotated(is_over=False, left=left)
    with say("old key"):
        _put(config, encryption_keys.without_old_keys(document))
    return Rotated(is_over=True)


def forget(config: node_config.NodeConfig, address: str) -> None:
    """Take a server that is gone for good off the store that it shared. Blocks. Raises EncryptionError."""
    if config.store in ("", node_config.ETCD):
        hint = f"nanokube etcd remove {address}" if config.store else "it has no other servers"
        raise EncryptionError("the cluster's store is its own", hint)
    if address in config.node_ips:
        raise EncryptionError(f"{address} is this server", "nanokube reset takes it out")
    try:
        is_known = asyncio.run(encryption_servers.forget(config, address))
    except (OSError, StoreError) as err:
        raise EncryptionError(f"cannot forget server {address}: {err}") from err
    if not is_known:
        known = ", ".join(each for each in _servers(config) if each not in config.node_ips) or "none"
        raise EncryptionError(f"there is no server {address}", f"the others are: {known}")


def leave(config: node_config.NodeConfig) -> None:
    """Take this server off the store that it shared: no rotation waits for it then. Blocks.

    Raises EncryptionError.
    """
    try:
        asyncio.run(encryption_servers.forget(config, config.first_node_ip))
    except (OSError, StoreError) as err:
        hint = f"before keys are rotated there: nanokube encryption rotate --lost {config.first_node_ip}"
        raise EncryptionError(f"cannot tell {config.store} that this server is gone: {err}", hint) from err


def _begins(document: encryption_keys.Document) -> bool:
    """Tell whether the newest keys are in the file but nothing is written by them."""
    return encryption_keys.with_newest_keys_first(document) != document


def _demand_taken(config: node_config.NodeConfig, stage: Stage, servers: Sequence[str]) -> None:
    """Go on only if every other server has this server's file: the step before this one.

    Whether this one runs: a foreign etcd is there without it, and so are the others. Raises EncryptionError.
    """
    if all(each in config.node_ips for each in servers):
        return
    digest = encryption_servers.digest_of(encryption_keys.path(config))
    try:
        found = asyncio.run(encryption_servers.behind(config, servers, digest))
    except (OSError, kubeconfig.KubeconfigError) as err:
        raise EncryptionError(f"cannot ask the other servers: {err}") from err
    if found is not None:
        raise EncryptionError(f"cannot {stage}: server {found.address} {found.cause}", found.remedy)


def _document(config: node_config.NodeConfig) -> encryption_keys.Document:
    file = encryption_keys.path(config)
    try:
        text = file.read_bytes()
        configuration.parse(text)
    except OSError as err:
        raise EncryptionError(f"cannot read {file}: {err.strerror}") from err
    except configuration.ConfigurationError as err:
        raise EncryptionError(f"cannot use {file}: {err}") from err
    return encryption_keys.read(text)


def _put(config: node_config.NodeConfig, document: encryption_keys.Document) -> None:
    """Write the file, and wait until the server, if it runs, has taken it."""
    file, text = encryption_keys.path(config), encryption_keys.render(document)
    if file.read_bytes() != text:
        files.write_private(file, text)
    if node.running_pid(config.paths) is None:
        return
    asyncio.run(_taken(config, configuration.digest(text)))
    asyncio.run(_withdraw(config))


async def _taken(config: node_config.NodeConfig, digest: str) -> None:
    wanted = encryption_servers.in_use(digest)
    cause = "it goes on with the former keys"
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(TAKEN_S),
            rest.Client.from_kubeconfig(config.paths.admin_kubeconfig) as client,
        ):
            while True:
                try:
                    if wanted in (await client.raw("GET", "/metrics")).decode():
                        return
                except (OSError, errors.ApiError, kubeconfig.KubeconfigError) as err:
                    cause = str(err)
                await asyncio.sleep(LOOK_S)
    raise EncryptionError(
        f"the API server does not take {encryption_keys.path(config)}: {cause}",
        "see /var/log/nanokube/apiserver.log; then call this again, it goes on",
    )


async def _withdraw(config: node_config.NodeConfig) -> None:
    """Take back what was laid out for a further server: it holds the former keys, which read nothing new."""
    try:
        async with rest.Client.from_kubeconfig(config.paths.admin_kubeconfig) as client:
            await client.delete(SECRETS, handover.SECRET, tokens.NAMESPACE)
    except errors.ApiError as err:
        if err.code != 404:
            raise EncryptionError(f"cannot take back Secret {handover.SECRET}: {err}", "delete it") from err
    except (OSError, kubeconfig.KubeconfigError) as err:
        raise EncryptionError(f"cannot take back Secret {handover.SECRET}: {err}", "delete it") from err


def _rewritten(config: node_config.NodeConfig) -> int:
    """Wait until all is stored by the new key, or do it where no server runs; tell how much is left."""
    store = etcd.store(config)
    if node.running_pid(config.paths) is None:
        asyncio.run(_rewrite(config, store))
    else:
        time.sleep(SETTLED_SHARED_S if isinstance(store, EtcdSettings) else SETTLED_S)
    made, least, since = _transformer(config), sys.maxsize, time.monotonic()
    while True:
        old = [r.key for r in _records(config) if not made.is_current(r.key, r.value)]
        lasting = sum(not key.startswith(encryption.EXPIRING) for key in old)
        if not lasting:
            return len(old)
        if lasting < least:
            least, since = lasting, time.monotonic()
        if time.monotonic() - since > STALLED_S:
            raise EncryptionError(
                f"{lasting} objects are still stored by an old key, and their number stays",
                "see /var/log/nanokube/apiserver.log; then call this again, it goes on",
            )
        time.sleep(LOOK_S)


async def _rewrite(config: node_config.NodeConfig, store: EtcdSettings | Path) -> None:
    try:
        async with (
            _opened(store) as inner,
            encryption.opened(inner, encryption_keys.path(config), clock.SYSTEM) as encrypted,
        ):
            await encrypted.rewrite()
    except (OSError, StoreError, configuration.ConfigurationError) as err:
        raise EncryptionError(f"cannot write objects again: {err}") from err


@contextlib.asynccontextmanager
async def _opened(store: EtcdSettings | Path) -> AsyncIterator[Store]:
    if isinstance(store, EtcdSettings):
        async with etcd.opened(store) as shared:
            yield shared
        return
    embedded = await SqliteStore.open(store)
    try:
        yield embedded
    finally:
        await embedded.close()


def _transformer(config: node_config.NodeConfig) -> transformer.Transformer:
    try:
        made = transformer.Transformer(encryption.read(encryption_keys.path(config)), clock.SYSTEM)
        made.poll()
    except (OSError, StoreError, configuration.ConfigurationError) as err:
        raise EncryptionError(str(err)) from err
    return made


def _servers(config: node_config.NodeConfig) -> Sequence[str]:
    try:
        return asyncio.run(encryption_servers.known(config))
    except (OSError, StoreError) as err:
        raise EncryptionError(f"cannot ask who the servers are: {err}") from err


def _records(config: node_config.NodeConfig) -> Sequence[Record]:
    store = etcd.store(config)
    try:
        return copy.read(store)[1] if isinstance(store, Path) else asyncio.run(_read(store))
    except (OSError, StoreError, copy.CopyError) as err:
        raise EncryptionError(f"cannot read the store: {err}") from err


async def _read(store: EtcdSettings) -> list[Record]:
    async with _opened(store) as opened:
        found = await opened.range(prefix.ROOT, prefix_end(prefix.ROOT))
    return [Record(e.key, e.value, e.create_revision, e.mod_revision) for e in found.entries]
