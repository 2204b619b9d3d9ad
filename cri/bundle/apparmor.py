"""Which AppArmor profile a container gets, and our default one. Pure but for the host's answers.

Source: CRI LinuxContainerSecurityContext.apparmor (and the older apparmor_profile); apparmor.d(5).
"""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from cri.api import runtime_pb2 as pb
from cri.linux import apparmor

log = logging.getLogger(__name__)

DEFAULT = apparmor.DEFAULT
# Beside what capabilities, seccomp and masks hold already: no mounts, no switches of the kernel, no tracing
# of what is not confined alike, no signals to it; of /proc/sys only what is of a Pod's namespaces is writable
PROFILE = f"""
profile {DEFAULT} flags=(attach_disconnected, mediate_deleted) {{
  file,
  network,
  capability,
  unix,
  umount,

  signal (receive) peer=unconfined,
  signal (send, receive) peer={DEFAULT},
  ptrace (trace, read, tracedby, readby) peer={DEFAULT},

  deny mount,
  deny /proc/{{kcore,kmem,mem,sysrq-trigger,keys,timer_list}} rwklx,
  deny /proc/{{acpi,asound,bus,driver,fs,irq,scsi,tty}}/** wklx,
  deny /proc/sys/{{abi,crypto,debug,dev,sunrpc,user,vm}}/** wklx,
  deny /proc/sys/fs/[^m]** wklx,
  deny /proc/sys/kernel/[^ms]** wklx,
  deny /proc/sys/kernel/m[^s]** wklx,
  deny /proc/sys/kernel/s[^eh]** wklx,
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""
_LEGACY = {
    "": None,
    "runtime/default": pb.SecurityProfile.RuntimeDefault,
    "unconfined": pb.SecurityProfile.Unconfined,
}


class ProfileError(ValueError):
    """A profile cannot be given; the message says why."""


class Host(Protocol):
    """What AppArmor the host has."""

    def is_enabled(self) -> bool:
        """Tell whether the kernel enforces profiles."""

    def has(self, name: str) -> bool:
        """Tell whether a profile of this name is loaded."""

    def load_default(self) -> bool:
        """See that our default profile is loaded; False if it cannot be."""


def choose(security: pb.LinuxContainerSecurityContext, host: Host) -> str:
    """Return the profile's name, "" for none. Raises ProfileError for a named one that cannot be given.

    Without a word about it, and for RuntimeDefault, a container gets our default where the host can; a
    privileged one does not, as it lifts every restriction that was not asked for by name.
    """
    kind, name = _wanted(security)
    if kind == pb.SecurityProfile.Localhost:
        if not host.is_enabled():
            raise ProfileError(f"cannot use AppArmor profile {name!r}: the kernel has no AppArmor")
        if not name or not host.has(name):
            raise ProfileError(f"cannot use AppArmor profile {name!r}: not loaded")
        return name
    if kind == pb.SecurityProfile.Unconfined or security.privileged or not host.is_enabled():
        return ""
    return DEFAULT if host.load_default() else ""


def _wanted(security: pb.LinuxContainerSecurityContext) -> tuple[int, str]:
    if security.HasField("apparmor"):
        return security.apparmor.profile_type, security.apparmor.localhost_ref.removeprefix("localhost/")
    old = security.apparmor_profile
    if old.startswith("localhost/"):
        return pb.SecurityProfile.Localhost, old.removeprefix("localhost/")
    if old not in _LEGACY:
        raise ProfileError(
            f"cannot use AppArmor profile {old!r}: neither runtime/default, unconfined nor localhost/…"
        )
    kind = _LEGACY[old]
    return (pb.SecurityProfile.RuntimeDefault if kind is None else kind), ""


class Kernel:
    """The running kernel. Our profile is loaded when a container first wants it, or if it went away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_enabled = apparmor.is_enabled()
        self._can_load = True

    def is_enabled(self) -> bool:
        return self._is_enabled

    def has(self, name: str) -> bool:
        return apparmor.has(name)

    def load_default(self) -> bool:
        with self._lock:
            if self._can_load and not (self._is_loaded and apparmor.has(DEFAULT)):
                try:
                    apparmor.load(PROFILE)
                    self._is_loaded = True
                except OSError as error:
                    self._can_load = False
                    log.warning("containers run without an AppArmor profile: %s", error)
            return self._can_load

    _is_loaded = False  # by this process: an older version's profile is replaced


HOST = Kernel()
