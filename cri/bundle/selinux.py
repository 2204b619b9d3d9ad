"""SELinux options of a container: refused where they would be dropped. Pure but for one look at the host.

This runtime sets no labels. A domain (type), role or user asked for by name is a confinement that a container
must not silently run without. A level alone separates Pods of one domain: without SELinux there is nothing to
separate, and Kubernetes' own conformance tests send one to every node, so it is let pass there.
Source: CRI SELinuxOption; test/e2e/common/storage/empty_dir.go ("s0").
"""

from __future__ import annotations

import functools
import os

from cri.api import runtime_pb2 as pb


class LabelError(ValueError):
    """A label cannot be given; the message says why."""


@functools.cache
def is_enabled() -> bool:
    """Tell whether the kernel has a policy to enforce or to log. Source: selinuxfs."""
    return os.path.exists("/sys/fs/selinux/enforce")


def check(options: pb.SELinuxOption, *, enabled: bool) -> None:
    """Refuse what cannot be honoured. Pure. Raises LabelError."""
    wanted = [name for name in ("user", "role", "type") if getattr(options, name)]
    if enabled and options.level:
        wanted.append("level")
    if wanted:
        cause = "labels are not supported by this runtime" if enabled else "the kernel has no SELinux"
        raise LabelError(f"cannot set SELinux {', '.join(wanted)}: {cause}")
