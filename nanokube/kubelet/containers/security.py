"""Security contexts, Pod's and container's, as the runtime understands them. Pure.

Source: pkg/kubelet/kuberuntime/security_context.go, pkg/securitycontext/util.go.
"""

from collections.abc import Mapping
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.kubelet import user_namespaces
from nanokube.kubelet.runtime import FaultKind, RuntimeFault

Object = Mapping[str, Any]

MAX_ID = 2**31 - 1
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_SHARED = ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile", "appArmorProfile", "seLinuxOptions")


class SecurityFault(ValueError):
    """The container may not run as its security context demands. Shows as CreateContainerConfigError."""


def effective(pod: Object, container: Object) -> dict[str, Any]:
    """Merge both contexts; the container's fields win."""
    outer = pod["spec"].get("securityContext") or {}
    own = {k: v for k, v in (container.get("securityContext") or {}).items() if v is not None}
    return {**{name: outer[name] for name in _SHARED if outer.get(name) is not None}, **own}


def check_non_root(pod: Object, container: Object, image: pb.Image | None) -> None:
    """Enforce runAsNonRoot on the user that the container will start as. Raises SecurityFault."""
    context = effective(pod, container)
    meta = pod["metadata"]
    where = f'(pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {container["name"]})'
    user = context.get("runAsUser")
    if user is not None and not 0 <= user <= MAX_ID:
        raise SecurityFault(f"container's runAsUser {user} is out of range {where}")
    if not context.get("runAsNonRoot"):
        return
    if user is not None:
        if user == 0:
            raise SecurityFault(f"container's runAsUser breaks non-root policy {where}")
        return
    if image is None:
        return
    if image.username and not image.HasField("uid"):
        raise SecurityFault(
            f"container has runAsNonRoot and image has non-numeric user ({image.username}), "
            f"cannot verify user is non-root {where}"
        )
    if image.uid.value == 0:
        raise SecurityFault(f"container has runAsNonRoot and image will run as root {where}")


def container_context(
    pod: Object, container: Object, image: pb.Image | None, *, target_id: str = "", seccomp_root: str = ""
) -> pb.LinuxContainerSecurityContext:
    """Build a container's context. target_id: container whose PID namespace an ephemeral one joins.

    seccomp_root: directory of the node that Localhost profiles are named below.
    """
    context = effective(pod, container)
    built = pb.LinuxContainerSecurityContext(
        privileged=bool(context.get("privileged")),
        readonly_rootfs=bool(context.get("readOnlyRootFilesystem")),
        no_new_privs=context.get("allowPrivilegeEscalation") is False,
        namespace_options=namespaces(pod, target_id),
        seccomp=profile(context.get("seccompProfile"), pb.SecurityProfile.Unconfined),
        apparmor=profile(context.get("appArmorProfile"), pb.SecurityProfile.RuntimeDefault),
        supplemental_groups=supplemental_groups(pod),
        supplemental_groups_policy=_groups_policy(pod),
    )
    if built.seccomp.localhost_ref:  # the runtime takes absolute paths
        built.seccomp.localhost_ref = f"{seccomp_root}/{built.seccomp.localhost_ref}"
    if (context.get("procMount") or "Default") == "Default":
        built.masked_paths.extend(MASKED_PATHS)
        built.readonly_paths.extend(READONLY_PATHS)
    capabilities = context.get("capabilities") or {}
    built.capabilities.add_capabilities.extend(capabilities.get("add") or ())
    built.capabilities.drop_capabilities.extend(capabilities.get("drop") or ())
    _set_user(built, context, image)
    return built


def _set_user(built: pb.LinuxContainerSecurityContext, context: Object, image: pb.Image | None) -> None:
    if context.get("runAsUser") is not None:
        built.run_as_user.value = context["runAsUser"]
    elif image is not None and image.HasField("uid"):
        built.run_as_user.value = image.uid.value
    elif image is not None and image.username:
        built.run_as_username = image.username
    if context.get("runAsGroup") is not None:
        built.run_as_group.value = context["runAsGroup"]
        if not built.HasField("run_as_user") and not built.run_as_username:
            built.run_as_user.value = 0  # CRI: a group needs a user


def sandbox_context(pod: Object) -> pb.LinuxSandboxSecurityContext:
    """Build the sandbox's context."""
    outer = pod["spec"].get("securityContext") or {}
    built = pb.LinuxSandboxSecurityContext(
        privileged=any(
            (c.get("securityContext") or {}).get("privileged")
            for c in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ()))
        ),
        namespace_options=namespaces(pod),
        seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault),
        supplemental_groups=supplemental_groups(pod),
        supplemental_groups_policy=_groups_policy(pod),
    )
    if outer.get("runAsUser") is not None:
        built.run_as_user.value = outer["runAsUser"]
    if outer.get("runAsGroup") is not None:
        built.run_as_group.value = outer["runAsGroup"]
    return built


def namespaces(pod: Object, target_id: str = "") -> pb.NamespaceOption:
    """Choose namespaces: the node's, the Pod's, the container's own, or another container's."""
    spec = pod["spec"]
    if spec.get("hostPID"):
        pid = pb.NODE
    elif spec.get("shareProcessNamespace"):
        pid = pb.POD
    elif target_id:
        pid = pb.TARGET
    else:
        pid = pb.CONTAINER
    return pb.NamespaceOption(
        network=pb.NODE if spec.get("hostNetwork") else pb.POD,
        ipc=pb.NODE if spec.get("hostIPC") else pb.POD,
        pid=pid,
        target_id=target_id if pid == pb.TARGET else "",
    )


def has_own_users(pod: Object) -> bool:
    """Tell whether a Pod has ids of its own rather than the host's."""
    return pod["spec"].get("hostUsers") is False


def check_own_users(status: pb.StatusResponse, handler: str) -> None:
    """Refuse a Pod with ids of its own where the handler has no user namespaces. Raises RuntimeFault."""
    features = next((known.features for known in status.runtime_handlers if known.name == handler), None)
    if features is None or not features.user_namespaces:
        message = (
            f"cannot run a Pod with `hostUsers: false`: runtime handler {handler!r} has no user namespaces"
        )
        raise RuntimeFault(FaultKind.OTHER, message)


def user_namespace(first_id: int) -> pb.UserNamespace:
    """Map a Pod's ids, from 0, to a range of the host's."""
    mapping = [pb.IDMapping(container_id=0, host_id=first_id, length=user_namespaces.LENGTH)]
    return pb.UserNamespace(mode=pb.POD, uids=mapping, gids=mapping)


def supplemental_groups(pod: Object) -> list[int]:
    """List extra groups: the Pod's, and fsGroup."""
    outer = pod["spec"].get("securityContext") or {}
    groups = list(outer.get("supplementalGroups") or ())
    if outer.get("fsGroup") is not None:
        groups.append(outer["fsGroup"])
    return groups


def _groups_policy(pod: Object) -> pb.SupplementalGroupsPolicy:
    outer = pod["spec"].get("securityContext") or {}
    return pb.Strict if outer.get("supplementalGroupsPolicy") == "Strict" else pb.Merge


def profile(asked: Object | None, default: pb.SecurityProfile.ProfileType) -> pb.SecurityProfile:
    """Translate a seccomp or AppArmor profile."""
    match (asked or {}).get("type"):
        case "RuntimeDefault":
            return pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault)
        case "Unconfined":
            return pb.SecurityProfile(profile_type=pb.SecurityProfile.Unconfined)
        case "Localhost":
            reference = (asked or {}).get("localhostProfile") or ""
            return pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref=reference)
    return pb.SecurityProfile(profile_type=default)
