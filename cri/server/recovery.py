"""What the server does before it serves: adopt what lives, undo what has no commit.

Containers live in the supervisor, not here, so after a mere restart of this server everything is as the
records say. After a crash in the middle of a call there is an intent to undo; after a restart of the
host no sandbox is ready any more and no container runs.
"""

import dataclasses
import logging
import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cri.cgroup.group import Group
from cri.faults import RuntimeFault
from cri.network import sandbox as namespaces
from cri.runtime import faults as supervisor
from cri.server import pod_files, teardown
from cri.server.environment import Environment
from cri.store import records, store

log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{64}")


def run(env: Environment) -> None:
    """Bring records and host into agreement. Blocks; raises OSError."""
    for directory in env.store.load():
        log.warning("incomplete record removed path=%s", directory)
        pod_files.unmount(directory)
        shutil.rmtree(directory, ignore_errors=True)
    if env.store.is_other_boot(store.boot_id()):
        _after_boot(env)
    _undo_intents(env)
    _check_pins(env)
    _remove_strays(env)
    network_ids = [record.id for record in env.store.sandboxes.all() if record.attachment is not None]
    env.worker.run(env.network.collect, network_ids)
    _tolerate(env.images.collect, "images")
    log.info(
        "records adopted sandboxes=%d containers=%d",
        len(env.store.sandboxes.all()),
        len(env.store.containers.all()),
    )


def _after_boot(env: Environment) -> None:
    """No process and no namespace outlived the boot."""
    now = env.now()
    for container in env.store.containers.all():
        env.store.containers.update(container.id, lambda old: records.lost(old, now))
    for pod in env.store.sandboxes.all():
        env.store.sandboxes.update(
            pod.id, lambda old: dataclasses.replace(old, state=records.SandboxState.NOTREADY)
        )
    log.info("host restarted since the last run")


def _check_pins(env: Environment) -> None:
    """A sandbox that lost a namespace is not ready: nothing can join it any more."""
    for pod in env.store.sandboxes.all():
        lost = [kind for kind, pin in pod.namespaces.items() if not namespaces.is_pinned(pin)]
        if lost and pod.state is records.SandboxState.READY:
            log.warning("sandbox lost namespaces id=%s kinds=%s", pod.id, ",".join(lost))
            env.store.sandboxes.update(
                pod.id, lambda old: dataclasses.replace(old, state=records.SandboxState.NOTREADY)
            )


def _undo_intents(env: Environment) -> None:
    for container in env.store.containers.intents():
        log.warning("interrupted creation undone container=%s", container.id)
        _tolerate(partial(teardown.container, env, container), container.id)
    for pod in env.store.sandboxes.intents():
        log.warning("interrupted creation undone sandbox=%s", pod.id)
        _tolerate(partial(teardown.sandbox, env, pod.id), pod.id)


def _remove_strays(env: Environment) -> None:
    """Remove containers, snapshots, namespace pins and cgroups that no record owns."""
    pods = {record.id for record in env.store.sandboxes.all()}
    owners = {record.id: record for record in env.store.containers.all()}
    held = {teardown.image_key(r.id, n) for r in owners.values() for n in range(len(r.image_mounts))}
    for key in list(env.snapshots.keys()):
        if key not in owners and key not in held:
            _tolerate(partial(env.snapshots.remove, key), key)
    for directory in _entries(env):
        if directory.name not in pods:
            namespaces.drop(directory)
    try:
        for state in env.client.list():
            if state.id not in owners and state.id not in pods:
                _tolerate(partial(env.client.remove, state.id), state.id)
    except supervisor.RuntimeFault as err:
        log.warning("supervisor not reached: %s", err)
        return
    _sweep_cgroups(env, pods | set(owners))


def _sweep_cgroups(env: Environment, known: set[str]) -> None:
    """Remove groups, named after sandboxes or containers, that nobody knows and that hold no process."""
    root = env.config.cgroup_root.strip("/")
    paths: set[str] = set()
    for point in (*env.hierarchies.v1_points(), env.hierarchies.unified):
        for directory, names, _ in os.walk(f"{point}/{root}") if point else ():
            strays = [name for name in names if _ID.fullmatch(name) and name not in known]
            paths.update(os.path.relpath(f"{directory}/{name}", point) for name in strays)
    for path in sorted(paths, reverse=True):
        if not Group(env.hierarchies, path).remove():
            log.warning("cgroup without record holds processes path=%s", path)


def _entries(env: Environment) -> list[Path]:
    try:
        return list(env.config.namespaces_dir.iterdir())
    except FileNotFoundError:
        return []


def _tolerate(action: Callable[[], object], key: str) -> None:
    """Run one step; a failure is logged, so that one bad record does not keep the node down."""
    try:
        action()
    except (RuntimeFault, supervisor.RuntimeFault, OSError, ValueError) as err:
        log.warning("not cleaned up key=%s: %s", key, err)
