"""CRI configurations of a Pod's sandbox and containers. Pure.

Source: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go, kuberuntime_container.go.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import sysctls
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.containers import dns, expansion, hosts, labels, resources, security

Object = Mapping[str, Any]

_PROTOCOLS = {"TCP": pb.TCP, "UDP": pb.UDP, "SCTP": pb.SCTP}
_PROPAGATION = {
    "HostToContainer": pb.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": pb.PROPAGATION_BIDIRECTIONAL,
}


@dataclasses.dataclass(frozen=True, slots=True)
class BoundMount:
    """A volume mount whose host side is known. image: an image volume's reference instead of host_path.

    is_own: made by us for this Pod, so that a runtime with SELinux may label it for the Pod's containers.
    """

    container_path: str
    host_path: str = ""
    is_read_only: bool = False
    propagation: str = "None"
    is_recursive_read_only: bool = False
    image: str = ""
    image_sub_path: str = ""
    is_own: bool = False


def cgroup_parent(pod: Object, root: str) -> str:
    """Name a Pod's cgroup: <root>/<qos>/pod<uid>."""
    return f"{root}/{resources.qos_class(pod).lower()}/pod{pod['metadata']['uid']}"


def sandbox(
    pod: Object,
    attempt: int,
    config: KubeletConfig,
    resolver: dns.Resolver,
    first_id: int | None = None,
) -> pb.PodSandboxConfig:
    """Build a sandbox's configuration. first_id: where a Pod with ids of its own has them on the host."""
    meta, spec = pod["metadata"], pod["spec"]
    built = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(
            name=meta["name"], uid=meta["uid"], namespace=meta["namespace"], attempt=attempt
        ),
        hostname=hosts.sandbox_hostname(pod, config.cluster_domain),
        log_directory=str(config.pod_log_directory(meta["namespace"], meta["name"], meta["uid"])),
        dns_config=pb.DNSConfig(
            servers=resolver.servers, searches=resolver.searches, options=resolver.options
        ),
        port_mappings=port_mappings(pod),
        labels=labels.pod_labels(pod),
        annotations=dict(meta.get("annotations") or {}),
    )
    linux = built.linux
    linux.cgroup_parent = cgroup_parent(pod, config.cgroup_root)
    linux.security_context.CopyFrom(security.sandbox_context(pod))
    if first_id is not None:
        options = linux.security_context.namespace_options.userns_options
        options.CopyFrom(security.user_namespace(first_id))
    linux.resources.CopyFrom(resources.pod_resources(pod))
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or ():
        linux.sysctls[sysctls.normalize(sysctl["name"])] = sysctl["value"]
    return built


def port_mappings(pod: Object) -> list[pb.PortMapping]:
    """List host ports; a Pod on the host's network has them anyway."""
    if pod["spec"].get("hostNetwork"):
        return []
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [
        pb.PortMapping(
            protocol=_PROTOCOLS[port.get("protocol") or "TCP"],
            container_port=port["containerPort"],
            host_port=port["hostPort"],
            host_ip=port.get("hostIP") or "",
        )
        for container in (*pod["spec"]["containers"], *sidecars)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def container(
    pod: Object,
    spec: Object,
    *,
    attempt: int,
    image: pb.Image | None,
    environment: Mapping[str, str],
    mounts: Sequence[BoundMount],
    devices: Sequence[pb.Device] = (),
    termination_file: str,
    node_memory: int,
    target_id: str = "",
    own_users: pb.UserNamespace | None = None,
    is_unified: bool = False,
    seccomp_root: str = "",
) -> pb.ContainerConfig:
    """Build one container's configuration.

    environment: complete; command and args may refer to it. image: as the runtime reports it.
    own_users: the sandbox's user namespace, if it has one of its own. is_unified: cgroup v2 alone.
    seccomp_root: where the node keeps Localhost profiles.
    """
    built = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=spec["name"], attempt=attempt),
        image=pb.ImageSpec(
            image=image.id if image is not None else spec["image"], user_specified_image=spec["image"]
        ),
        command=[expansion.expand(word, environment) for word in spec.get("command") or ()],
        args=[expansion.expand(word, environment) for word in spec.get("args") or ()],
        working_dir=spec.get("workingDir") or "",
        labels=labels.container_labels(pod, spec["name"]),
        annotations=labels.container_annotations(pod, spec, attempt, termination_file),
        log_path=f"{spec['name']}/{attempt}.log",
        stdin=bool(spec.get("stdin")),
        stdin_once=bool(spec.get("stdinOnce")),
        tty=bool(spec.get("tty")),
        mounts=[_mount(mount) for mount in mounts],
        devices=devices,
    )
    for name, value in environment.items():
        built.envs.append(pb.KeyValue(key=name, value=value.encode("utf-8", "surrogateescape")))
    asked = resources.container_resources(pod, spec, node_memory, is_unified=is_unified)
    built.linux.resources.CopyFrom(asked)
    context = security.container_context(pod, spec, image, target_id=target_id, seccomp_root=seccomp_root)
    built.linux.security_context.CopyFrom(context)
    if own_users is not None:
        _use_own_users(built, own_users)
    stop_signal = (spec.get("lifecycle") or {}).get("stopSignal")
    if stop_signal:
        built.stop_signal = getattr(pb, stop_signal)
    return built


def _use_own_users(built: pb.ContainerConfig, own_users: pb.UserNamespace) -> None:
    """Join the sandbox's user namespace; what files belong to inside is what they belong to on disk."""
    built.linux.security_context.namespace_options.userns_options.CopyFrom(own_users)
    for mount in built.mounts:
        if mount.host_path:
            mount.uidMappings.extend(own_users.uids)
            mount.gidMappings.extend(own_users.gids)


def _mount(mount: BoundMount) -> pb.Mount:
    built = pb.Mount(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.is_read_only,
        propagation=_PROPAGATION.get(mount.propagation, pb.PROPAGATION_PRIVATE),
        recursive_read_only=mount.is_recursive_read_only,
        selinux_relabel=mount.is_own,
    )
    if mount.image:
        built.image.image = mount.image
        built.image_sub_path = mount.image_sub_path
    return built
