"""RPC RunPodSandbox: namespaces, network, files; no process.

Intent, act, commit: the record names each thing before it is made, so that a crash at any point can
be undone from the record alone.
"""

import dataclasses
import logging
import os
from collections.abc import Collection
from pathlib import Path

import grpc

from cri import failpoint, faults
from cri.api import runtime_pb2 as pb
from cri.network import attach, conflist, files, sandbox, spares, sysctls
from cri.server import cgroups, limits, notify, pod_files, pod_labels, teardown, user_namespace
from cri.server.environment import Environment
from cri.store import records, store

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.RunPodSandboxRequest, context: grpc.ServicerContext
) -> pb.RunPodSandboxResponse:
    """Make a sandbox and return its id once it is ready; a repeated call gets the same one.

    Raises RuntimeFault INVALID_ARGUMENT, ALREADY_EXISTS; conflist.ConfigError; plugin.PluginError; OSError.
    """
    check(request, env.config.runtime_handlers)
    key = f"sandbox {records.sandbox_name(request.config.metadata)}"
    identity = env.flights.run(key, request, lambda: _run(env, request), context)
    return pb.RunPodSandboxResponse(pod_sandbox_id=identity)


def _run(env: Environment, request: pb.RunPodSandboxRequest) -> str:
    """Write the intent, act, commit; what fails is undone by the record."""
    if unused := find_unused(env, request.config, request.runtime_handler):
        return unused
    with pod_labels.level(env, request.config) as level:
        record = intent(env, request, level)
        failpoint.hit("sandbox.intended")
        env.store.sandboxes.reserve(record, record.name)
    failpoint.hit("sandbox.reserved")
    try:
        ready = _set_up(env, record)
    except BaseException:
        teardown.sandbox(env, record.id)
        raise
    failpoint.hit("sandbox.committed")
    log.info("sandbox ready id=%s pod=%s ips=%s", ready.id, ready.name, ",".join(ready.ips))
    notify.sandbox(env, ready, notify.CREATED)
    notify.sandbox(env, ready, notify.STARTED)
    return ready.id


def find_unused(env: Environment, config: pb.PodSandboxConfig, handler: str = "") -> str:
    """Return the ready sandbox that an earlier equal call made and nobody has used, else "".

    Its client got no answer: the server ended, or the client had given up. What a failed call could not
    undo is undone here, so that its name is not lost.
    """
    found = env.store.sandboxes.named(records.sandbox_name(config.metadata))
    if found is None:
        return ""
    if env.store.sandboxes.is_intent(found):
        teardown.sandbox(env, found.id)
        return ""
    is_unused = found.state is records.SandboxState.READY and not env.store.containers_of(found.id)
    is_equal = (found.config, found.runtime_handler) == (config, handler)
    return found.id if is_unused and is_equal else ""


def check(request: pb.RunPodSandboxRequest, handlers: Collection[str] = ()) -> None:
    """Refuse what cannot be honoured. Pure.

    handlers: the configuration's runtime handlers. Raises RuntimeFault, InvalidValue.
    """
    config = request.config
    if not config.metadata.name or not config.metadata.uid:
        raise faults.invalid("cannot run sandbox: metadata has no name or uid")
    for field in ("name", "namespace", "uid"):
        limits.name(f"metadata.{field}", getattr(config.metadata, field))
    if config.log_directory:
        limits.path("log_directory", config.log_directory)
    for mapping in config.port_mappings:
        limits.port_mapping(mapping)
    if request.runtime_handler and request.runtime_handler not in handlers:
        raise faults.invalid(f"cannot run sandbox: no runtime handler {request.runtime_handler!r}")
    if config.hostname:
        files.check_hostname(config.hostname)
    options = records.namespace_options(config)
    user_namespace.check(config)
    if any(mode in (pb.CONTAINER, pb.TARGET) for mode in (options.network, options.ipc)):
        raise faults.invalid("cannot run sandbox: network and ipc are either the pod's or the node's")


def intent(env: Environment, request: pb.RunPodSandboxRequest, level: str = "") -> records.Sandbox:
    """Write down what is about to be made. Raises conflist.ConfigError without a network."""
    config = request.config
    identity = store.new_id()
    has_network = records.namespace_options(config).network != pb.NODE
    return records.Sandbox(
        id=identity,
        config=config,
        runtime_handler=request.runtime_handler,
        created_at=env.now(),
        cgroup=cgroups.of_sandbox(env.config.cgroup_root, config, identity),
        attachment=_attachment(env, config).to_json() if has_network else None,
        selinux_level=level,
    )


def _attachment(env: Environment, config: pb.PodSandboxConfig) -> attach.Attachment:
    return attach.Attachment(env.network.config(), attach.capabilities(config))


def _set_up(env: Environment, record: records.Sandbox) -> records.Sandbox:
    """Do what the intent says and commit."""
    label = pod_labels.of_files(env, record.config, record.selinux_level)
    kinds = namespace_kinds(record.config)
    directory = env.config.namespaces_dir / record.id
    pins: dict[str, str] = {}
    if kinds:
        pins = _namespaces(env, record, directory, kinds)
    failpoint.hit("sandbox.namespaced")
    attachment = _join_network(env, record, pins) if "net" in pins else None
    ips = conflist.addresses(attachment) if attachment else ()
    owner = user_namespace.owner(record.config)
    pod_files.write(env.store.sandboxes.directory(record.id), record, ips, owner, label)
    failpoint.hit("sandbox.files_written")
    if record.config.log_directory:
        limits.directory("log_directory", Path(record.config.log_directory))

    def commit(old: records.Sandbox) -> records.Sandbox:
        return dataclasses.replace(
            old, state=records.SandboxState.READY, namespaces=pins, ips=ips, created_at=env.now()
        )

    return env.store.sandboxes.update(record.id, commit)


def _namespaces(
    env: Environment, record: records.Sandbox, directory: Path, kinds: list[str]
) -> dict[str, str]:
    """Make and pin the sandbox's namespaces; with a user namespace it is the supervisor that makes them."""
    settings = _sysctls(record.config, kinds)
    given: dict[str, int] = {}
    uids, gids = user_namespace.maps(record.config)
    if uids:
        given = env.client.namespaces(uids, gids)
        # the rest is of the IPC namespace, whose root alone may set it: each container's first process does
        settings = {path: value for path, value in settings.items() if path.startswith("net/")}
    elif all(kind in kinds for kind in spares.KINDS):
        given = env.spares.take()
    try:
        hostname = record.config.hostname
        return env.worker.run(
            sandbox.create, directory, kinds, hostname=hostname, sysctls=settings, given=given
        )
    finally:
        spares.close(given)


def _join_network(env: Environment, record: records.Sandbox, pins: dict[str, str]) -> conflist.Json:
    """Run CNI ADD, note its result, and return it."""
    assert record.attachment is not None
    wanted = attach.from_json(record.attachment)
    arguments = attach.arguments(record.config, record.id)
    done = env.worker.run(env.network.add, wanted, record.id, pins["net"], arguments)
    failpoint.hit("sandbox.attached")
    env.store.sandboxes.update(
        record.id, lambda old: dataclasses.replace(old, attachment=done.to_json(), namespaces=pins)
    )
    failpoint.hit("sandbox.attachment_noted")
    return done.result or {}


def namespace_kinds(config: pb.PodSandboxConfig) -> list[str]:
    """Return the namespaces the sandbox gets of its own. Pure.

    A Pod on the host's network shares the host's name too, as everywhere in Kubernetes.
    """
    options = records.namespace_options(config)
    kinds = [] if options.network == pb.NODE else ["net", "uts"]
    return kinds if options.ipc == pb.NODE else [*kinds, "ipc"]


# Binding low ports needs no privilege inside a Pod's own network. Source: containerd's
# enable_unprivileged_ports, on by default since 2.0.
_PORT_START = "net/ipv4/ip_unprivileged_port_start"


def _sysctls(config: pb.PodSandboxConfig, kinds: list[str]) -> dict[str, str]:
    own_network = "net" in kinds
    wanted = sysctls.paths(config.linux.sysctls, own_network=own_network, own_ipc="ipc" in kinds)
    return (
        {_PORT_START: "0", **wanted} if own_network and os.path.exists(f"/proc/sys/{_PORT_START}") else wanted
    )
