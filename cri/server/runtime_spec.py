"""A container's specification in the form of the OCI runtime specification, for people and tools. Pure.

What the container was asked to be, as far as the form has a place for it: mounts every container gets
(/proc, /sys, /dev) are not listed, and a seccomp profile, which is kept compiled, is not shown.

Source: github.com/opencontainers/runtime-spec config.md, config-linux.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cri.bundle import capabilities

VERSION = "1.2.0"

Wire = Mapping[str, Any]


def of_container(spec: Wire) -> dict[str, Any]:
    """Translate a specification as `cri.bundle.spec.to_wire` makes it."""
    return {
        "ociVersion": VERSION,
        "process": _process(spec["process"]),
        "root": {"path": "rootfs", "readonly": bool(spec["rootfs"]["readonly"])},
        "mounts": [_mount(mount) for mount in spec["mounts"]],
        "linux": {
            **of_namespaces(spec["namespaces"]),
            "cgroupsPath": "/" + spec["cgroup"],
            "resources": _resources(spec["resources"]),
            "sysctl": dict(spec["sysctls"]),
            "devices": [{"path": device["target"]} for device in spec["devices"]],
            "maskedPaths": list(spec["masked_paths"]),
            "readonlyPaths": list(spec["readonly_paths"]),
            **_set(mountLabel=spec.get("mount_label", "")),
        },
    }


def of_namespaces(wire: Wire) -> dict[str, Any]:
    """Return `namespaces` and, with a user namespace, its mappings; one of the host's is not listed."""
    paths = {kind: wire.get(key, "") for kind, key in _PINNED.items()}
    listed: list[dict[str, str]] = [{"type": kind, "path": path} for kind, path in paths.items() if path]
    listed += [{"type": "pid"}] if wire.get("pid", "host") != "host" else []
    listed += [{"type": "mount"}, {"type": "cgroup"}]
    maps = {
        f"{kind}Mappings": [
            {"containerID": inside, "hostID": host, "size": count}
            for inside, host, count in wire.get(f"{kind}_map", ())
        ]
        for kind in ("uid", "gid")
    }
    return {"namespaces": listed, **(maps if paths["user"] else {})}


_PINNED = {"network": "net", "ipc": "ipc", "uts": "uts", "user": "user"}


def _process(wire: Wire) -> dict[str, Any]:
    user = wire["user"]
    shown = {
        "terminal": bool(wire["tty"]),
        "user": {"uid": user["uid"], "gid": user["gid"], "additionalGids": list(user["groups"])},
        "args": list(wire["argv"]),
        "env": list(wire["env"]),
        "cwd": wire["cwd"],
        "capabilities": {kind: _names(mask) for kind, mask in wire["capabilities"].items()},
        "rlimits": [
            {"type": f"RLIMIT_{limit['kind']}", "soft": limit["soft"], "hard": limit["hard"]}
            for limit in wire["rlimits"]
        ],
        "noNewPrivileges": bool(wire["no_new_privs"]),
        "oomScoreAdj": wire["oom_score_adj"],
    }
    return shown | _set(apparmorProfile=wire["apparmor"], selinuxLabel=wire.get("selinux", ""))


def _names(mask: int) -> list[str]:
    return [f"CAP_{name}" for number, name in enumerate(capabilities.NAMES) if mask >> number & 1]


def _mount(wire: Wire) -> dict[str, Any]:
    options: list[str] = list(wire["options"]) if wire["kind"] == "tmpfs" else ["rbind"]
    if wire["kind"] != "tmpfs":
        options.append({"private": "rprivate", "slave": "rslave", "shared": "rshared"}[wire["propagation"]])
    if wire["recursive_readonly"]:
        options.append("rro")
    elif wire["readonly"] or wire["kind"] == "image":
        options.append("ro")
    if wire["idmapped"]:
        options.append("ridmap")
    kind = "tmpfs" if wire["kind"] == "tmpfs" else "bind"
    source = wire["source"] or (wire["lowers"][0] if wire["lowers"] else kind)
    return {"destination": wire["target"], "type": kind, "source": source, "options": options}


def _resources(wire: Wire) -> dict[str, Any]:
    """Return the limits that are set."""
    memory = _set(limit=wire["memory_limit"], swap=wire["memory_swap_limit"])
    cpu = _set(
        shares=wire["cpu_shares"],
        quota=wire["cpu_quota"],
        period=wire["cpu_period"],
        cpus=wire["cpuset_cpus"],
        mems=wire["cpuset_mems"],
    )
    return _set(
        memory=memory, cpu=cpu, pids=_set(limit=wire["pids_limit"]), unified=_unified(wire["unified"])
    )


def _unified(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _set(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
