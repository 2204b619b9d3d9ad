"""RPC CreateContainer: a record, a writable layer, and a process that waits for StartContainer."""

import contextlib
import dataclasses
import errno
import logging
import os
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import grpc

from cri import failpoint, faults
from cri.api import runtime_pb2 as pb
from cri.bundle import build, relabel, rootfs, spec
from cri.images.errors import ImageError
from cri.images.image import Image
from cri.images.reference import Reference
from cri.server import cgroups, limits, notify, pod_files, pod_labels, propagation, teardown, user_namespace
from cri.server.environment import Environment
from cri.snapshots.overlay import Rootfs
from cri.store import records, store

log = logging.getLogger(__name__)

# By the directories of an image's layers, whose names are digests of what they hold: read once.
_known_accounts: dict[tuple[str, ...], tuple[bytes, bytes]] = {}
_KNOWN_IMAGES, _KNOWN_BYTES = 64, 8 << 10
_PROFILE_BYTES_MAX = 1 << 20  # those of Docker and Podman have 12 KB


def handle(
    env: Environment, request: pb.CreateContainerRequest, context: grpc.ServicerContext
) -> pb.CreateContainerResponse:
    """Make a container in a ready sandbox and return its id; a repeated call gets the same one.

    Raises RuntimeFault, BuildError, ImageError, OSError.
    """
    pod = env.store.sandboxes.get(request.pod_sandbox_id)
    name = records.container_name(request.config.metadata, pod.config.metadata)
    act = partial(_run, env, request.config, pod.id, name)
    identity = env.flights.run(f"container {name}", request, act, context)
    return pb.CreateContainerResponse(container_id=identity)


def _run(env: Environment, config: pb.ContainerConfig, sandbox_id: str, name: str) -> str:
    with env.store.sandboxes.lock(sandbox_id):  # a stop or removal comes before or after, never in between
        if unused := find_unused(env, config, sandbox_id, name):
            return unused
        pod = env.store.sandboxes.get(sandbox_id)
        ready = _create(env, config, pod)
    failpoint.hit("container.committed")
    log.info("container created id=%s name=%s sandbox=%s", ready.id, ready.config.metadata.name, pod.id)
    notify.container(env, ready, notify.CREATED)
    return ready.id


def find_unused(env: Environment, config: pb.ContainerConfig, sandbox_id: str, name: str) -> str:
    """Return the container that an earlier equal call made and nobody has started, else "".

    What a failed call could not undo is undone here, so that its name is not lost.
    """
    found = env.store.containers.named(name)
    if found is None:
        return ""
    if env.store.containers.is_intent(found):
        teardown.container(env, found)
        return ""
    is_unused = found.state is records.ContainerState.CREATED and found.sandbox_id == sandbox_id
    return found.id if is_unused and found.config == config else ""


def _create(env: Environment, config: pb.ContainerConfig, pod: records.Sandbox) -> records.Container:
    """Check, write the intent, act; undo all on failure."""
    if pod.state is not records.SandboxState.READY:
        raise faults.precondition(f"cannot create container in sandbox {pod.id!r}: not ready")
    if not config.metadata.name:
        raise faults.invalid("cannot create container: metadata has no name")
    image = find_image(env, config.image.image)
    record = _intent(env, config, pod, image)
    env.store.containers.reserve(record, records.container_name(config.metadata, pod.config.metadata))
    failpoint.hit("container.reserved")
    try:
        return _make(env, record, pod, image)
    except BaseException:
        teardown.container(env, record)
        raise


def find_image(env: Environment, reference: str) -> Image:
    """Return a present image. Raises RuntimeFault NOT_FOUND, INVALID_ARGUMENT."""
    if not reference:
        raise faults.invalid("cannot create container: no image named")
    image = env.images.status(reference)
    if image is None:
        raise faults.not_found("image", reference)
    return image


def _intent(
    env: Environment, config: pb.ContainerConfig, pod: records.Sandbox, image: Image
) -> records.Container:
    """Make the record of a container to be: all that its undoing must know is in it."""
    identity = store.new_id()
    volumes = [mount for mount in config.mounts if mount.HasField("image")]
    return records.Container(
        id=identity,
        sandbox_id=pod.id,
        config=config,
        image_id=image.id,
        image_ref=image_reference(image, config.image.user_specified_image or config.image.image),
        created_at=env.now(),
        log_path=log_path(pod.config, config),
        stop_signal=stop_signal(config, image),
        cgroup=cgroups.of_container(pod.cgroup, identity),
        image_mounts={mount.container_path: find_image(env, volume_reference(mount)).id for mount in volumes},
    )


def _make(
    env: Environment, record: records.Container, pod: records.Sandbox, image: Image
) -> records.Container:
    """Do what the intent says and commit."""
    propagation.check(record.config.mounts)
    layers = env.snapshots.prepare(record.id, image, owner=user_namespace.owner(pod.config))
    failpoint.hit("container.layers_ready")
    if record.log_path:
        limits.directory("log_path", Path(record.log_path).parent)
    plan = build.build(record.config, pod.config, image.config, _context(env, record, pod, layers))
    _relabel(record.config, plan.mount_label)
    if plan.namespaces.pid_target == pod.id:
        _ensure_holder(env, pod)
        failpoint.hit("container.holder_ready")
    elif wanted := plan.namespaces.pid_target:
        namespaces = dataclasses.replace(plan.namespaces, pid_target=target(env, wanted, pod.id))
        plan = dataclasses.replace(plan, namespaces=namespaces)
    env.client.create(plan)
    failpoint.hit("container.cloned")
    user = plan.process.user

    def commit(old: records.Container) -> records.Container:
        return dataclasses.replace(
            old,
            state=records.ContainerState.CREATED,
            created_at=env.now(),
            user=records.User(user.uid, user.gid, tuple(user.groups)),
        )

    return env.store.containers.update(record.id, commit)


def target(env: Environment, identity: str, sandbox_id: str) -> str:
    """Return the container of the same Pod whose PID namespace is joined; an id prefix will do.

    Raises RuntimeFault NOT_FOUND, and INVALID_ARGUMENT for another Pod's.
    """
    found = env.store.containers.get(identity)
    if found.sandbox_id != sandbox_id:
        raise faults.invalid(f"cannot join the PID namespace of container {found.id!r}: it is another Pod's")
    return found.id


def _context(
    env: Environment, record: records.Container, pod: records.Sandbox, layers: Rootfs
) -> build.Context:
    passwd, group = _accounts(layers)
    options = records.namespace_options(pod.config)
    directory = env.store.sandboxes.directory(pod.id)
    uids, gids = user_namespace.maps(pod.config)
    return build.Context(
        container_id=record.id,
        sandbox_id=pod.id,
        rootfs=spec.Rootfs(
            (*map(str, layers.lowers), str(env.snapshots.places)), str(layers.upper), str(layers.work)
        ),
        cgroup=record.cgroup,
        passwd=passwd,
        group=group,
        hostname=pod.config.hostname or os.uname().nodename,
        netns=pod.namespaces.get("net", ""),
        ipcns=pod.namespaces.get("ipc", ""),
        utsns=pod.namespaces.get("uts", ""),
        userns=pod.namespaces.get("user", ""),
        uid_map=uids,
        gid_map=gids,
        pid_holder=pod.id,
        log_path=record.log_path,
        extra_mounts=pod_files.mounts(directory, record.config, own_ipc=options.ipc != pb.NODE),
        image_mounts=_image_layers(env, record),
        load_profile=_read_profile,
        selinux=pod_labels.host(env),
        selinux_level=pod.selinux_level,
    )


def _relabel(config: pb.ContainerConfig, label: str) -> None:
    """Give volumes the container's label where its client says so. Raises RuntimeFault INVALID_ARGUMENT."""
    for mount in config.mounts if label else ():
        if mount.selinux_relabel and mount.host_path:
            try:
                relabel.tree(mount.host_path, label)
            except relabel.RelabelError as err:
                raise faults.invalid(f"cannot mount {mount.container_path}: {err}") from err


def _accounts(layers: Rootfs) -> tuple[bytes, bytes]:
    """Read the image's passwd and group. Raises RuntimeFault INVALID_ARGUMENT for what are no plain files."""
    lowers = tuple([str(lower) for lower in layers.lowers])
    if known := _known_accounts.get(lowers):
        return known
    try:
        passwd, group = rootfs.read_accounts(lowers)
    except ValueError as err:
        raise faults.invalid(f"cannot create container: {err}") from err
    if len(passwd) + len(group) <= _KNOWN_BYTES:
        if len(_known_accounts) >= _KNOWN_IMAGES:
            _known_accounts.clear()
        _known_accounts[lowers] = passwd, group
    return passwd, group


def _read_profile(path: str) -> bytes:
    """Read a seccomp profile: a plain file of a bounded size. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "is not a plain file", path)
        with open(fd, "rb", closefd=False) as file:
            content = file.read(_PROFILE_BYTES_MAX + 1)
    finally:
        os.close(fd)
    if len(content) > _PROFILE_BYTES_MAX:
        raise OSError(errno.EFBIG, f"has more than {_PROFILE_BYTES_MAX} bytes", path)
    return content


def _image_layers(env: Environment, record: records.Container) -> Mapping[str, list[str]]:
    """Hold the layers of image volumes; return container path to layer directories, topmost first."""
    layers = {}
    parts = {mount.container_path: mount.image_sub_path for mount in record.config.mounts}
    for number, (path, image_id) in enumerate(record.image_mounts.items()):
        image = find_image(env, image_id)
        layers[path] = list(map(str, env.snapshots.view(teardown.image_key(record.id, number), image)))
        if parts[path] and not rootfs.has_path(layers[path], parts[path]):
            raise faults.invalid(f"cannot mount {path}: no {parts[path]!r} in image {image_id}")
    return layers


def _ensure_holder(env: Environment, pod: records.Sandbox) -> None:
    """Start the process that is PID 1 of the Pod's shared PID namespace, unless it runs.

    One that was killed took all processes of the namespace with it: containers to come get a new one.
    """
    with env.store.sandboxes.lock(pod.id):
        state = next((state for state in env.client.list() if state.id == pod.id), None)
        if state is not None and state.phase != "exited":
            return
        if state is not None:
            env.client.remove(pod.id)
        uids, gids = user_namespace.maps(pod.config)
        user = spec.Namespaces(user=pod.namespaces.get("user", ""), uid_map=uids, gid_map=gids)
        cgroup = cgroups.of_container(pod.cgroup, pod.id)
        env.client.create(spec.holder_spec(pod.id, pod.id, cgroup, user))


def image_reference(image: Image, wanted: str) -> str:
    """Return the image by digest, in the repository it was asked for by if it has one there. Pure."""
    repository = wanted.partition("@")[0]
    with contextlib.suppress(ImageError):
        repository = Reference.parse(wanted).name
    same = (digest for digest in image.repo_digests if digest.partition("@")[0] == repository)
    return next(same, image.repo_digests[0] if image.repo_digests else "")


def volume_reference(mount: pb.Mount) -> str:
    """Return the image an image volume shows. Pure. Raises RuntimeFault INVALID_ARGUMENT."""
    if mount.host_path:
        raise faults.invalid(f"cannot mount {mount.container_path}: both a host path and an image")
    if not mount.readonly:
        raise faults.invalid(f"cannot mount {mount.container_path}: an image volume is read-only")
    return mount.image.image


def log_path(pod: pb.PodSandboxConfig, config: pb.ContainerConfig) -> str:
    """Return where a container's log goes, "" for nowhere. Pure. Raises RuntimeFault INVALID_ARGUMENT."""
    if not pod.log_directory or not config.log_path:
        return ""
    path = os.path.normpath(os.path.join(pod.log_directory, config.log_path))
    if not path.startswith(os.path.normpath(pod.log_directory) + "/"):
        raise faults.invalid(f"cannot log to {config.log_path!r}: outside the log directory")
    limits.path("log_path", path)
    return path


def stop_signal(config: pb.ContainerConfig, image: Image) -> str:
    """Return the name of the signal that stops a container, as CRI spells it. Pure."""
    if config.stop_signal:
        if config.stop_signal not in pb.Signal.values():
            raise faults.invalid(f"cannot use stop signal {config.stop_signal}: unknown")
        return pb.Signal.Name(config.stop_signal)
    wanted = str(image.process.get("StopSignal") or "SIGTERM").upper()
    wanted = wanted.replace("+", "PLUS").replace("-", "MINUS")
    return wanted if wanted.startswith("SIG") or wanted.isdigit() else f"SIG{wanted}"
