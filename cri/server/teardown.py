"""Undoing a sandbox or a container, from its record alone. Every step is idempotent."""

import contextlib
import dataclasses
import os

from cri import failpoint
from cri.cgroup import group
from cri.network import attach, conflist, plugin
from cri.network import sandbox as namespaces
from cri.runtime.faults import NOT_FOUND, RuntimeFault
from cri.server import cgroups, pod_files
from cri.server.environment import Environment
from cri.store import records


def container(env: Environment, record: records.Container) -> None:
    """Kill and forget a container: processes, cgroup, writable layer, record. Its log stays."""
    _forget(env, record.id)
    failpoint.hit("teardown.processes_gone")
    env.snapshots.remove(record.id)
    failpoint.hit("teardown.layer_gone")
    for number, _ in enumerate(record.image_mounts):
        env.snapshots.remove(image_key(record.id, number))
    env.store.containers.delete(record.id)
    env.rates.forget(record.id)


def image_key(container_id: str, number: int) -> str:
    """Return the snapshot key of a container's image volume."""
    return f"{container_id}-{number}"


def network(env: Environment, record: records.Sandbox) -> records.Sandbox:
    """Take a sandbox off the network and drop its namespaces.

    Raises plugin.PluginError when DEL failed; the record then still says so and the call may be repeated.
    """
    if record.is_network_down:
        return record
    if record.attachment is not None:
        _leave_network(env, record)
    failpoint.hit("teardown.detached")
    namespaces.drop(env.config.namespaces_dir / record.id)
    failpoint.hit("teardown.unpinned")
    return env.store.sandboxes.update(record.id, lambda old: dataclasses.replace(old, is_network_down=True))


def sandbox(env: Environment, identity: str) -> None:
    """Undo all there is of a sandbox; nothing that fails keeps the rest from being tried.

    Used when creation failed and at start for intents; a failing DEL is left to CNI's GC.
    """
    record = next((r for r in env.store.sandboxes.intents() if r.id == identity), None)
    record = record or env.store.sandboxes.find(identity)
    if record is None:
        return
    with contextlib.suppress(plugin.PluginError, conflist.ConfigError, KeyError):
        network(env, record)
    namespaces.drop(env.config.namespaces_dir / identity)
    release(env, record)


def release(env: Environment, record: records.Sandbox) -> None:
    """Let go of a sandbox without a network: holder, shared memory, cgroup, files, record."""
    _forget(env, record.id)
    pod_files.unmount(env.store.sandboxes.directory(record.id))
    failpoint.hit("release.unmounted")
    if cgroups.is_own(record.config):
        group.Group(env.hierarchies, record.cgroup).remove()
    failpoint.hit("release.group_gone")
    env.store.sandboxes.delete(record.id)
    env.rates.forget(record.id)


def _leave_network(env: Environment, record: records.Sandbox) -> None:
    """Run CNI DEL; a namespace that is gone already is passed as none, as CNI asks."""
    assert record.attachment is not None
    pin = os.path.join(env.config.namespaces_dir, record.id, "net")
    netns = pin if namespaces.is_pinned(pin) else ""
    attachment = attach.from_json(record.attachment)
    arguments = attach.arguments(record.config, record.id)
    env.worker.run(env.network.delete, attachment, record.id, netns, arguments)


def _forget(env: Environment, identity: str) -> None:
    try:
        env.client.remove(identity)
    except RuntimeFault as err:
        if err.kind != NOT_FOUND:
            raise
