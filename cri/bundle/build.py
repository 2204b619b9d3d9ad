"""CRI ContainerConfig + PodSandboxConfig + OCI image config -> Spec. Pure.

Source: CRI v1 api.proto; OCI image-spec config.md; where they are silent, what CRI runtimes share.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cri.api import runtime_pb2 as pb
from cri.bundle import apparmor, capabilities, seccomp, selinux, spec, users

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
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
# not cgroup.procs and its like: those move processes and change the tree
_CGROUP_FILE = re.compile(r"(cpu|cpuset|memory|pids|io|hugetlb|rdma|misc)(\.[A-Za-z0-9_]+)+")
_PAGE_SIZE = re.compile(r"[0-9]{1,6}[KMG]B")
_PROPAGATION: dict[int, spec.Propagation] = {0: "private", 1: "slave", 2: "shared"}


class BuildError(ValueError):
    """The request cannot be turned into a container; the message says why (InvalidArgument)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What build() needs and the two configs do not say.

    passwd, group: contents of the image's /etc/passwd and /etc/group (cri.bundle.rootfs.read_accounts).
    netns, ipcns, utsns, userns: pins of the sandbox; uid_map, gid_map: mappings of the latter.
    pid_holder: id of the sandbox's holder container.
    load_profile: path -> bytes of a Localhost seccomp profile. apparmor, selinux: what the host has of them.
    selinux_level: the Pod's.
    extra_mounts: /etc/hosts and friends; they come before the config's mounts.
    image_mounts: container path of an image volume -> its layer directories, topmost first.
    """

    container_id: str
    sandbox_id: str
    rootfs: spec.Rootfs
    cgroup: str
    passwd: bytes = b""
    group: bytes = b""
    hostname: str = ""
    netns: str = ""
    ipcns: str = ""
    utsns: str = ""
    userns: str = ""
    uid_map: spec.IdMap = ()
    gid_map: spec.IdMap = ()
    pid_holder: str = ""
    log_path: str = ""
    pids_limit: int = 0
    extra_mounts: Sequence[spec.Mount] = ()
    image_mounts: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    load_profile: Callable[[str], bytes] | None = None
    apparmor: apparmor.Host = apparmor.HOST
    selinux: selinux.Host = selinux.HOST
    selinux_level: str = ""


def build(
    container: pb.ContainerConfig,
    sandbox: pb.PodSandboxConfig,
    image_config: Mapping[str, Any],
    context: Context,
) -> spec.Spec:
    """Build the Spec. image_config: the OCI image configuration ({"config": {"Entrypoint": ...}}).

    Raises BuildError.
    """
    image = image_process(image_config)
    security = container.linux.security_context
    try:
        labels = _labels(security, context)
        process = dataclasses.replace(_process(container, image, context), selinux=labels.process)
        return spec.Spec(
            id=context.container_id,
            sandbox_id=context.sandbox_id,
            process=process,
            rootfs=dataclasses.replace(context.rootfs, readonly=security.readonly_rootfs),
            cgroup=context.cgroup,
            mounts=_mounts(container, context),
            namespaces=_namespaces(security, context),
            masked_paths=_hidden(security, security.masked_paths, MASKED_PATHS, context),
            readonly_paths=_hidden(security, security.readonly_paths, READONLY_PATHS, context),
            resources=resources(container.linux.resources, context.pids_limit),
            devices=_devices(container),
            host_devices=security.privileged,
            writable_sys=security.privileged,
            writable_cgroup=security.privileged,
            sysctls=tuple(sorted(sandbox.linux.sysctls.items())),
            stdin=container.stdin,
            stdin_once=container.stdin_once,
            log_path=context.log_path,
            stop_signal=stop_signal(container, image),
            mount_label=labels.mount,
        )
    except (users.UserError, seccomp.ProfileError, apparmor.ProfileError, selinux.LabelError) as error:
        raise BuildError(str(error)) from error


def image_process(image_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the "config" of an OCI image configuration, every field we use of its type. Raises BuildError.

    It was written by whoever made the image: a number as working directory would be taken for a descriptor.
    """
    image = image_config.get("config") or {}
    if not isinstance(image, Mapping):
        raise BuildError("cannot use the image's configuration: config is not an object")
    for field, kind in (("User", str), ("WorkingDir", str), ("StopSignal", str)):
        if not isinstance(image.get(field) or "", kind):
            raise BuildError(f"cannot use the image's configuration: {field} is not a string")
    for field in ("Entrypoint", "Cmd", "Env"):
        words = image.get(field) or []
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise BuildError(f"cannot use the image's configuration: {field} is not a list of strings")
    return image


def resources(wanted: pb.LinuxContainerResources, pids_limit: int = 0) -> spec.Resources:
    """Turn CRI limits into ours (for create and update). Raises BuildError for names that are none."""
    for name in wanted.unified:
        if not _CGROUP_FILE.fullmatch(name):
            raise BuildError(f"cannot limit resources: {name!r} is no file of a cgroup v2 controller")
    for entry in wanted.hugepage_limits:
        if not _PAGE_SIZE.fullmatch(entry.page_size):
            raise BuildError(f"cannot limit resources: {entry.page_size!r} is no size of a huge page")
    return spec.Resources(
        cpu_shares=wanted.cpu_shares,
        cpu_quota=wanted.cpu_quota,
        cpu_period=wanted.cpu_period,
        memory_limit=wanted.memory_limit_in_bytes,
        memory_swap_limit=wanted.memory_swap_limit_in_bytes,
        pids_limit=pids_limit,
        cpuset_cpus=wanted.cpuset_cpus,
        cpuset_mems=wanted.cpuset_mems,
        hugepage_limits=tuple([(entry.page_size, entry.limit) for entry in wanted.hugepage_limits]),
        unified=tuple(sorted(wanted.unified.items())),
    )


def command(container: pb.ContainerConfig, image: Mapping[str, Any]) -> tuple[str, ...]:
    """What to execute: CRI's command replaces Entrypoint and Cmd, its args replace Cmd. Raises BuildError."""
    if container.command:
        argv = [*container.command, *container.args]
    else:
        argv = [*(image.get("Entrypoint") or ()), *(container.args or image.get("Cmd") or ())]
    if not argv:
        raise BuildError("cannot build container: no command specified, neither by the Pod nor by the image")
    if any("\0" in word for word in argv):
        raise BuildError("cannot build container: the command holds a NUL character")
    return tuple(argv)


def environment(
    container: pb.ContainerConfig, image: Mapping[str, Any], context: Context, home: str
) -> tuple[str, ...]:
    """Merge the image's variables and CRI's (which win), with PATH, HOSTNAME, HOME and TERM where missing."""
    values: dict[str, str] = {}
    for entry in image.get("Env") or ():
        name, _, value = str(entry).partition("=")
        values[name] = value
    values.setdefault("PATH", DEFAULT_PATH.partition("=")[2])
    if context.hostname:
        values["HOSTNAME"] = context.hostname
    values.update({entry.key: _text(entry.value) for entry in container.envs})
    if container.tty:
        values.setdefault("TERM", "xterm")
    values.setdefault("HOME", home if _is_plain(home) else "/")
    return tuple([f"{name}={value}" for name, value in values.items() if name and "\0" not in name + value])


def stop_signal(container: pb.ContainerConfig, image: Mapping[str, Any]) -> int:
    """The signal that asks the container to end: CRI's, the image's, SIGTERM (also for one that is none)."""
    name = pb.Signal.Name(container.stop_signal) if container.stop_signal else ""
    name = (name or str(image.get("StopSignal") or "SIGTERM")).upper()
    found = _SIGNAL.fullmatch(name)
    if found is None:
        return signal.SIGTERM
    base, sign, offset = found["name"], found["sign"], int(found["offset"] or 0)
    if base.isdigit():
        number = int(base)
    else:
        number = _SIGNALS.get({"CLD": "CHLD", "POLL": "IO"}.get(base, base), signal.SIGTERM)
    number += -offset if sign in ("-", "MINUS") else offset
    return number if 0 < number <= signal.SIGRTMAX else signal.SIGTERM


_SIGNAL = re.compile(
    r"(?:SIG)?(?P<name>[0-9]{1,2}|[A-Z][A-Z0-9]*?)(?:(?P<sign>\+|-|PLUS|MINUS)(?P<offset>[0-9]{1,2}))?"
)
_SIGNALS = {member.name[3:]: int(member) for member in signal.Signals}


def _process(container: pb.ContainerConfig, image: Mapping[str, Any], context: Context) -> spec.Process:
    security = container.linux.security_context
    who = _identity(security, image, context)
    _check_mapped(who, context)
    filters = _seccomp(security, context)
    return spec.Process(
        argv=command(container, image),
        env=environment(container, image, context, who.home),
        cwd=_cwd(container.working_dir or image.get("WorkingDir") or "/"),
        user=spec.User(who.uid, who.gid, who.groups),
        capabilities=_capabilities(security),
        no_new_privs=security.no_new_privs,
        seccomp=filters[0],
        seccomp_flags=filters[1],
        apparmor=apparmor.choose(security, context.apparmor),
        oom_score_adj=container.linux.resources.oom_score_adj,
        tty=container.tty,
    )


def _cwd(path: str) -> str:
    if "\0" in path:
        raise BuildError("cannot build container: the working directory holds a NUL character")
    return path if path.startswith("/") else f"/{path}"


def _check_mapped(who: users.Identity, context: Context) -> None:
    """Refuse ids that the Pod's user namespace lacks."""
    for mapping, ids in ((context.uid_map, (who.uid,)), (context.gid_map, (who.gid, *who.groups))):
        for number in ids if mapping else ():
            if not any(inside <= number < inside + count for inside, _, count in mapping):
                raise BuildError(f"cannot build container: id {number} is not mapped in the user namespace")


def _identity(
    security: pb.LinuxContainerSecurityContext, image: Mapping[str, Any], context: Context
) -> users.Identity:
    return users.resolve(
        user=str(image.get("User") or ""),
        uid=security.run_as_user.value if security.HasField("run_as_user") else None,
        username=security.run_as_username,
        gid=security.run_as_group.value if security.HasField("run_as_group") else None,
        supplemental=tuple(security.supplemental_groups),
        strict=security.supplemental_groups_policy == pb.SupplementalGroupsPolicy.Strict,
        passwd=context.passwd,
        group=context.group,
    )


def _capabilities(security: pb.LinuxContainerSecurityContext) -> spec.Capabilities:
    if security.privileged:
        every = capabilities.ALL
        return spec.Capabilities(every, every, every)
    wanted = security.capabilities
    try:
        ambient = capabilities.mask(wanted.add_ambient_capabilities)
        add = [*wanted.add_capabilities, *wanted.add_ambient_capabilities]
        granted = capabilities.change(capabilities.DEFAULT, add, wanted.drop_capabilities)
    except ValueError as error:
        raise BuildError(str(error)) from error
    return spec.Capabilities(granted, granted, granted, ambient, ambient)


def _seccomp(security: pb.LinuxContainerSecurityContext, context: Context) -> tuple[bytes, int]:
    """The filter's program, empty for none, and the flags it is loaded with."""
    kind, path = _seccomp_profile(security)
    if security.privileged or kind == pb.SecurityProfile.Unconfined:
        return b"", 0
    granted = _capabilities(security).bounding
    if kind == pb.SecurityProfile.RuntimeDefault:
        return seccomp.runtime_default(granted), 0
    if context.load_profile is None:
        raise BuildError("cannot load a seccomp profile: none are configured")
    if not path.startswith("/") or "\0" in path:
        raise BuildError(f"cannot load seccomp profile {path!r}: not an absolute path")
    try:
        content = context.load_profile(path)
    except OSError as error:
        raise BuildError(f"cannot load seccomp profile {path}: {error}") from error
    return seccomp.from_json(content), seccomp.flags(content)


def _seccomp_profile(security: pb.LinuxContainerSecurityContext) -> tuple[int, str]:
    """Kind and path of the wanted profile; without one the deprecated seccomp_profile_path is heard."""
    if security.HasField("seccomp"):
        kind, path = security.seccomp.profile_type, security.seccomp.localhost_ref
        if kind not in pb.SecurityProfile.ProfileType.values():
            raise BuildError(f"cannot load a seccomp profile: unknown profile type {kind}")
        return kind, path.removeprefix("localhost/")
    old = security.seccomp_profile_path
    if old in ("", "unconfined"):
        return pb.SecurityProfile.Unconfined, ""
    if old in ("runtime/default", "docker/default"):
        return pb.SecurityProfile.RuntimeDefault, ""
    if not old.startswith("localhost/"):
        raise BuildError(
            f"cannot load seccomp profile {old!r}: neither runtime/default, unconfined nor localhost/…"
        )
    return pb.SecurityProfile.Localhost, old.removeprefix("localhost/")


def _labels(security: pb.LinuxContainerSecurityContext, context: Context) -> selinux.Labels:
    options = security.namespace_options
    is_free = security.privileged or pb.NamespaceMode.NODE in (options.pid, options.ipc)
    return selinux.choose(
        security.selinux_options, context.selinux, level=context.selinux_level, is_free=is_free
    )


def _namespaces(security: pb.LinuxContainerSecurityContext, context: Context) -> spec.Namespaces:
    options = security.namespace_options
    pid: spec.PidMode = "own"
    target = ""
    if options.pid == pb.NamespaceMode.NODE:
        pid = "host"
    elif options.pid == pb.NamespaceMode.POD:
        pid, target = "container", context.pid_holder
    elif options.pid == pb.NamespaceMode.TARGET:
        pid, target = "container", options.target_id
    if pid == "container" and not target:
        raise BuildError("cannot build container: no target for its PID namespace")
    if context.userns and pid == "host":
        raise BuildError("cannot build container: a user namespace excludes the node's PID namespace")
    return spec.Namespaces(
        context.netns,
        context.ipcns,
        context.utsns,
        pid,
        target,
        context.userns,
        context.uid_map,
        context.gid_map,
    )


def _mounts(container: pb.ContainerConfig, context: Context) -> tuple[spec.Mount, ...]:
    """The sandbox's mounts, then the Pod's in order of depth, so that none hides an earlier one."""
    wanted = [_mount(entry, context) for entry in container.mounts]
    wanted.sort(key=lambda entry: entry.target.count("/") if entry.target != "/" else 0)
    targets = {entry.target for entry in wanted}
    extra = [entry for entry in context.extra_mounts if entry.target not in targets]
    return (*extra, *wanted)


def _mount(entry: pb.Mount, context: Context) -> spec.Mount:
    path = entry.container_path
    if "\0" in path + entry.host_path:
        raise BuildError("cannot mount: a path holds a NUL character")
    target = os.path.normpath("/" + path.lstrip("/"))
    if target == "/":
        raise BuildError("cannot mount over the container's root")
    if entry.recursive_read_only and not entry.readonly:
        raise BuildError(f"cannot mount {path}: recursive_read_only needs readonly")
    if entry.recursive_read_only and entry.propagation != pb.MountPropagation.PROPAGATION_PRIVATE:
        raise BuildError(f"cannot mount {path}: recursive_read_only needs private propagation")
    if entry.HasField("image"):
        lowers = context.image_mounts.get(path)
        if not lowers:
            raise BuildError(f"cannot mount {path}: image {entry.image.image!r} has no layers here")
        return spec.Mount(
            target,
            kind="image",
            readonly=True,
            lowers=tuple(lowers),
            sub_path=entry.image_sub_path,
            idmapped=bool(context.userns),
        )
    if not os.path.isabs(entry.host_path):
        raise BuildError(f"cannot mount {path}: host path {entry.host_path!r} is not absolute")
    return spec.Mount(
        target,
        entry.host_path,
        readonly=entry.readonly,
        recursive_readonly=entry.recursive_read_only,
        propagation=_PROPAGATION.get(entry.propagation, "private"),
        idmapped=_is_idmapped(entry, context),
    )


def _is_idmapped(entry: pb.Mount, context: Context) -> bool:
    """Tell whether a volume's owners are mapped as the Pod's are; any other mapping is refused."""
    wanted = [
        tuple([(m.container_id, m.host_id, m.length) for m in mappings])
        for mappings in (entry.uidMappings, entry.gidMappings)
    ]
    if not any(wanted):
        return False
    if wanted != [context.uid_map, context.gid_map]:
        raise BuildError(f"cannot mount {entry.container_path}: mappings differ from the Pod's")
    return True


def _devices(container: pb.ContainerConfig) -> tuple[spec.Device, ...]:
    for wanted in container.CDI_devices:
        raise BuildError(f"cannot give CDI device {wanted.name!r}: this runtime has no CDI")
    return tuple([_device(wanted) for wanted in container.devices])


def _device(wanted: pb.Device) -> spec.Device:
    permissions = wanted.permissions or "rwm"
    if len(set(permissions)) < len(permissions) or not set(permissions) <= set("rwm"):
        raise BuildError(
            f"cannot give device {wanted.host_path!r}: permissions {permissions[:16]!r} are not of rwm"
        )
    target = wanted.container_path or wanted.host_path
    if (
        not wanted.host_path.startswith("/")
        or not target.startswith("/")
        or "\0" in wanted.host_path + target
    ):
        raise BuildError(f"cannot give device {wanted.host_path!r} as {target!r}: not an absolute path")
    return spec.Device(wanted.host_path, target, permissions)


def _hidden(
    security: pb.LinuxContainerSecurityContext, wanted: Sequence[str], usual: Sequence[str], context: Context
) -> tuple[str, ...]:
    """Paths of /proc and /sys to mask or make read-only.

    An empty list is what a kubelet sends for `procMount: Unmasked`, which is for Pods with a user namespace
    alone, and what a careless client sends: only there is it taken at its word.
    """
    if security.privileged:
        return ()
    if context.userns:
        return _paths(wanted)
    return _paths(wanted or usual)


def _paths(wanted: Sequence[str]) -> tuple[str, ...]:
    """Absolute, plain paths, each once; empty or relative ones are dropped."""
    return tuple(dict.fromkeys([os.path.normpath(p) for p in wanted if p.startswith("/") and "\0" not in p]))


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _is_plain(text: str) -> bool:
    return text.startswith("/") and text.isprintable()
