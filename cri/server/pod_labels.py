"""The SELinux level of a Pod, and the label of the files that are made for it.

Each Pod has a pair of categories that no other has, so that a container which breaks out of its root still
cannot touch another Pod's files. The records are the register: a pair is taken while a record names it.
"""

import contextlib
import logging
import secrets
import threading
from collections.abc import Iterator

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle import relabel, selinux
from cri.linux import labels
from cri.server.environment import Environment

log = logging.getLogger(__name__)

_lock = threading.Lock()
_pending: list[str] = []  # picked, and not in a record yet


def host(env: Environment) -> selinux.Host:
    """Return the kernel, as far as labels are wanted of it."""
    return selinux.HOST if env.config.enable_selinux else selinux.OFF


@contextlib.contextmanager
def level(env: Environment, config: pb.PodSandboxConfig) -> Iterator[str]:
    """Hold the level that the Pod asks for or a free one ("" where there are none) until it is recorded.

    Raises RuntimeFault INVALID_ARGUMENT.
    """
    wanted = config.linux.security_context.selinux_options.level
    defaults = selinux.defaults(host(env))
    if wanted or defaults is None or not defaults[0].level:
        yield wanted if defaults is not None else ""
        return
    try:
        with _lock:
            picked = selinux.pick_level(defaults[0].level, _used(env), secrets.randbelow)
            _pending.append(picked)
    except selinux.LabelError as err:
        raise faults.invalid(str(err)) from err
    try:
        yield picked
    finally:
        with _lock:
            _pending.remove(picked)


def _used(env: Environment) -> set[str]:
    sandboxes = [*env.store.sandboxes.all(), *env.store.sandboxes.intents()]
    containers = (c.config.linux.security_context.selinux_options.level for c in env.store.containers.all())
    return {*_pending, *(pod.selinux_level for pod in sandboxes), *containers}


def label_layers(env: Environment) -> None:
    """See that image layers have the policy's label for them; those to come get it from their directory.

    Blocks, long if there are many layers that were unpacked without SELinux: done once.
    """
    wanted, directory = selinux.of_layers(host(env)), str(env.config.images_dir)
    if not wanted or labels.of_file(directory) == wanted:
        return
    try:
        relabel.tree(directory, wanted)
    except (OSError, relabel.RelabelError) as err:
        log.warning("image layers not labelled: %s", err)


def of_files(env: Environment, config: pb.PodSandboxConfig, pod_level: str) -> str:
    """Return the label of what is made for the Pod, "" = none. Raises RuntimeFault INVALID_ARGUMENT.

    Where the kernel has no SELinux nothing is refused here: its containers are.
    """
    kernel = host(env)
    if kernel.refusal():
        return ""
    try:
        options = config.linux.security_context.selinux_options
        return selinux.choose(options, kernel, level=pod_level).mount
    except selinux.LabelError as err:
        raise faults.invalid(str(err)) from err
