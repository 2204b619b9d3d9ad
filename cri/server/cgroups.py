"""Where sandboxes and containers stand in the cgroup hierarchy. Pure."""

from cri import faults
from cri.api import runtime_pb2 as pb


def of_sandbox(root: str, config: pb.PodSandboxConfig, sandbox_id: str) -> str:
    """Return a sandbox's cgroup, relative to the hierarchy: what the kubelet names, else one of ours.

    Raises RuntimeFault INVALID_ARGUMENT for a path that leaves the hierarchy.
    """
    parent = config.linux.cgroup_parent
    if not parent:
        return f"{root.strip('/')}/pods/{sandbox_id}"
    if "\x00" in parent or ".." in parent.split("/"):
        raise faults.invalid(f"cannot use cgroup parent {parent!r}: leaves the hierarchy")
    return parent.strip("/")


def is_own(config: pb.PodSandboxConfig) -> bool:
    """Tell whether the sandbox's cgroup is ours to remove; one a kubelet named is the kubelet's."""
    return not config.linux.cgroup_parent


def of_container(sandbox_cgroup: str, container_id: str) -> str:
    """Return a container's cgroup."""
    return f"{sandbox_cgroup}/{container_id}"
