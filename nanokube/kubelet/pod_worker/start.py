"""Starts one container: image, environment, mounts, files, then the runtime. Faults carry their reason.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go startContainer.
"""

import asyncio
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import errors
from nanokube.client.events import reference_to
from nanokube.kubelet.containers import build, environment, hosts, security, service_env
from nanokube.kubelet.containers.build import BoundMount
from nanokube.kubelet.images import ImageFault, field_path
from nanokube.kubelet.pod_worker import restart
from nanokube.kubelet.pod_worker.env import Env
from nanokube.kubelet.podview import PodView
from nanokube.kubelet.runtime import RuntimeFault
from nanokube.kubelet.volumes import small_file
from nanokube.kubelet.volumes.errors import VolumeFault
from nanokube.kubelet.volumes.ready import Ready

Object = Mapping[str, Any]


class StartFault(Exception):
    """A container was not started. reason: what its waiting state says. retry_at: 0 for a plain delay."""

    def __init__(self, reason: str, message: str, retry_at: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_at = retry_at


async def start(
    env: Env,
    pod: Object,
    container: Object,
    view: PodView,
    sandbox_id: str,
    sandbox: pb.PodSandboxConfig,
    volumes: Mapping[str, Ready],
    pod_ips: Sequence[str],
) -> str:
    """Create and start a container; return its id. Raises StartFault.

    view: what the start was planned on, even if more was seen since.
    """
    about = reference_to(pod, field_path=field_path(pod, container["name"]))
    volumes = await _pull_volumes(env, pod, container, sandbox, volumes, about)
    image = await _image(env, pod, container, sandbox, about)
    try:
        config = await _config(env, pod, container, view, sandbox, volumes, pod_ips, image)
    except (
        environment.EnvironmentFault,
        security.SecurityFault,
        VolumeFault,
        errors.ApiError,
        OSError,
        ValueError,
    ) as error:
        env.recorder.event(about, "Warning", "Failed", f"Error: {error}")
        raise StartFault("CreateContainerConfigError", str(error)) from error
    config.annotations.update(restart.annotations(pod, view))
    try:
        container_id = await env.runtime.create_container(sandbox_id, config, sandbox)
    except RuntimeFault as fault:
        env.recorder.event(about, "Warning", "Failed", f"Error: {fault.message}")
        raise StartFault("CreateContainerError", fault.message) from fault
    env.recorder.event(about, "Normal", "Created", "Container created")
    try:
        await env.runtime.start_container(container_id)
    except RuntimeFault as fault:
        env.recorder.event(about, "Warning", "Failed", f"Error: {fault.message}")
        raise StartFault("RunContainerError", fault.message) from fault
    env.recorder.event(about, "Normal", "Started", "Container started")
    return container_id


async def _image(
    env: Env, pod: Object, container: Object, sandbox: pb.PodSandboxConfig, about: Object
) -> pb.Image:
    """Have an image for what starts. about: the container, of which every want of an image is an event."""
    try:
        return await env.images.ensure(pod, container, sandbox)
    except ImageFault as fault:
        env.recorder.event(about, "Warning", "Failed", f"Error: {fault.reason}")
        retry_at = env.images.retry_at(pod, container["image"])
        raise StartFault(fault.reason, fault.message, retry_at) from fault


async def _pull_volumes(
    env: Env,
    pod: Object,
    container: Object,
    sandbox: pb.PodSandboxConfig,
    volumes: Mapping[str, Ready],
    about: Object,
) -> dict[str, Ready]:
    """Pull the images that a container has as volumes, each by its own policy; name them by what came."""
    found = dict(volumes)
    for name in {mount["name"] for mount in container.get("volumeMounts") or ()}:
        if name not in volumes or not (reference := volumes[name].image):
            continue
        # Events of the pull are about the Pod: no container has this image.
        wanted = {"name": "", "image": reference, "imagePullPolicy": volumes[name].pull_policy}
        image = await _image(env, pod, wanted, sandbox, about)
        found[name] = dataclasses.replace(volumes[name], image=image.id)
    return found


async def _config(
    env: Env,
    pod: Object,
    container: Object,
    view: PodView,
    sandbox: pb.PodSandboxConfig,
    volumes: Mapping[str, Ready],
    pod_ips: Sequence[str],
    image: pb.Image,
) -> pb.ContainerConfig:
    security.check_non_root(pod, container, image)
    variables = await container_environment(env, pod, container, pod_ips, volumes)
    mounts = await env.volumes.mounts(pod, container, volumes, variables)
    latest = view.latest(container["name"])
    attempt = latest.restart_count + 1 if latest is not None else _attempts_logged(env, pod, container)
    mounts, termination_file = await asyncio.to_thread(_files, env, pod, container, mounts, pod_ips, attempt)
    target = container.get("targetContainerName")
    target_view = view.latest(target) if target else None
    options = sandbox.linux.security_context.namespace_options
    return build.container(
        pod,
        container,
        attempt=attempt,
        image=image,
        environment=variables,
        mounts=mounts,
        devices=env.volumes.devices(container, volumes),
        termination_file=termination_file,
        node_memory=env.node_memory,
        target_id=target_view.id if target_view is not None else "",
        is_unified=env.is_unified,
        seccomp_root=str(env.config.root / "seccomp"),  # as upstream's, below the kubelet's root
        own_users=options.userns_options if options.HasField("userns_options") else None,
    )


async def container_environment(
    env: Env, pod: Object, container: Object, pod_ips: Sequence[str], volumes: Mapping[str, Ready]
) -> dict[str, str]:
    """Fetch what a container's environment reads and build it.

    Raises EnvironmentFault, VolumeFault, ApiError, OSError.
    """
    names, secret_names = environment.references(container)
    namespace = pod["metadata"]["namespace"]
    config_maps, secrets = {}, {}
    for name in names:
        if (found := await env.references.config_map(namespace, name)) is not None:
            config_maps[name] = found
    for name in secret_names:
        if (found := await env.references.secret(namespace, name)) is not None:
            secrets[name] = found
    wanted = environment.files(container)
    sources = environment.Sources(
        config_maps,
        secrets,
        service_env.for_pod(pod, env.services()),
        env.allocatable,
        host_ips=env.config.node_ips,
        pod_ips=pod_ips,
        files=await asyncio.to_thread(_texts, wanted, volumes) if wanted else {},
    )
    return environment.build(pod, container, sources)


def _texts(wanted: set[tuple[str, str]], volumes: Mapping[str, Ready]) -> dict[tuple[str, str], str]:
    """Read files of volumes; those that are missing are left out. Blocking."""
    found = {}
    for name, path in wanted:
        if name not in volumes:
            raise VolumeFault(f"cannot find the volume {name!r} of a fileKeyRef")
        if (text := small_file.read(volumes[name].path, path)) is not None:
            found[name, path] = text
    return found


def _attempts_logged(env: Env, pod: Object, container: Object) -> int:
    """Count from the logs where the runtime forgot the container: its last log must not be overwritten."""
    directory = _log_directory(env, pod) / container["name"]
    try:
        numbers = [int(entry.split(".")[0]) for entry in os.listdir(directory) if entry[:1].isdigit()]
    except (OSError, ValueError):
        return 0
    return max(numbers, default=-1) + 1


def _log_directory(env: Env, pod: Object) -> Path:
    meta = pod["metadata"]
    return env.config.pod_log_directory(meta["namespace"], meta["name"], meta["uid"])


def _files(
    env: Env,
    pod: Object,
    container: Object,
    mounts: list[BoundMount],
    pod_ips: Sequence[str],
    attempt: int,
) -> tuple[list[BoundMount], str]:
    """Write the hosts file and an empty termination log; add their mounts. Blocking."""
    mounts = list(mounts)
    directory = env.config.pod_directory(pod["metadata"]["uid"])
    (_log_directory(env, pod) / container["name"]).mkdir(parents=True, exist_ok=True, mode=0o755)
    taken = {mount.container_path for mount in mounts}
    if "/etc/hosts" not in taken and (pod_ips or pod["spec"].get("hostNetwork")):
        mounts.append(BoundMount("/etc/hosts", str(write_hosts(env, pod, pod_ips)), is_own=True))
    path = container.get("terminationMessagePath") or "/dev/termination-log"
    place = directory / "containers" / container["name"] / str(attempt)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    place.write_bytes(b"")
    place.chmod(0o666)  # the container's user, whoever that is, writes to it
    mounts.append(BoundMount(path, str(place), is_own=True))
    return mounts, str(place)


def write_hosts(env: Env, pod: Object, pod_ips: Sequence[str]) -> Path:
    """Write a Pod's hosts file, in place: it is bound into running containers. Blocking."""
    path = env.config.pod_directory(pod["metadata"]["uid"]) / "etc-hosts"
    node_hosts = ""
    if pod["spec"].get("hostNetwork"):
        node_hosts = Path("/etc/hosts").read_text()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    path.write_text(hosts.content(pod, pod_ips, env.config.cluster_domain, node_hosts))
    path.chmod(0o644)
    return path
