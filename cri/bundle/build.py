"""CRI ContainerConfig + PodSandboxConfig + OCI image config -> Spec. Pure.

Source: CRI v1 api.proto; OCI image-spec config.md; containerd's CRI defaults where the API is silent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cri.api import runtime_pb2 as pb
from cri.bundle import spec


class BuildError(ValueError):
    """The request cannot be turned into a container; the message says why (InvalidArgument)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What build() needs and the two configs do not say.

    passwd, group: contents of the image's /etc/passwd and /etc/group (cri.bundle.rootfs.read_accounts).
    netns, ipcns, utsns: pins of the sandbox; pid_holder: id of the sandbox's holder container.
    load_profile: path -> bytes of a Localhost seccomp profile.
    extra_mounts: /etc/hosts and friends, image volumes; they come before the config's mounts.
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
    pid_holder: str = ""
    log_path: str = ""
    pids_limit: int = 0
    extra_mounts: Sequence[spec.Mount] = ()
    image_mounts: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    load_profile: Callable[[str], bytes] | None = None


def build(
    container: pb.ContainerConfig,
    sandbox: pb.PodSandboxConfig,
    image_config: Mapping[str, Any],
    context: Context,
) -> spec.Spec:
    """Build the Spec. image_config: the OCI image configuration ({"config": {"Entrypoint": ...}}).

    Raises BuildError.
    """
    raise NotImplementedError
