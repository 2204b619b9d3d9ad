"""Which SELinux labels a container gets: of its processes, of its files. Pure but for the host's answers.

Parts that are asked for win; a missing level is the Pod's, other missing parts are those of the policy's
contexts for containers. A level alone separates Pods of one domain: without SELinux there is nothing to
separate, and Kubernetes' own conformance tests send one to every node, so it is let pass there; any other
part is a confinement that a container must not silently run without.
Source: CRI SELinuxOption; selinux(8); go-selinux label.InitLabels; e2e/common/storage/empty_dir.go ("s0").
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from cri.api import runtime_pb2 as pb
from cri.linux import selinux

log = logging.getLogger(__name__)

_PART = re.compile(r"[A-Za-z0-9_.-]+")
# Sensitivities with categories, a range of two at most, as the kernel takes them (no names of mcstransd).
# Nothing else may pass: it is written into mount options.
_CATEGORIES = r"c[0-9]{1,4}(\.c[0-9]{1,4})?"
_ONE_LEVEL = rf"s[0-9]{{1,2}}(:{_CATEGORIES}(,{_CATEGORIES})*)?"
_LEVEL = re.compile(rf"{_ONE_LEVEL}(-{_ONE_LEVEL})?")
_told: list[str] = []  # once a process
_CATEGORY_COUNT = 1024  # of every policy with categories; go-selinux CategoryRange


class LabelError(ValueError):
    """A label cannot be given; the message says why."""


class Host(Protocol):
    """What SELinux the host has."""

    def refusal(self) -> str:
        """Say why no labels are set here; "" where they are."""

    def contexts(self) -> Mapping[str, str]:
        """Return the policy's contexts for containers, under the keys process and file."""

    def canonical(self, context: str) -> str:
        """Return a context as the kernel writes it. Raises OSError for one that the policy has not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """An SELinux context; level is "" under a policy without levels."""

    user: str
    role: str
    type: str
    level: str = ""

    def __str__(self) -> str:
        return ":".join(part for part in (self.user, self.role, self.type, self.level) if part)


@dataclasses.dataclass(frozen=True, slots=True)
class Labels:
    """Contexts of a container's processes and of the filesystems made for it, "" = what the policy says."""

    process: str = ""
    mount: str = ""


def parse(text: str) -> Context:
    """Read user:role:type[:level]. Raises LabelError."""
    parts = text.split(":", 3)
    if len(parts) < 3 or not all(map(_PART.fullmatch, parts[:3])):
        raise LabelError(f"cannot use SELinux label {text!r}: not of the form user:role:type:level")
    if len(parts) == 4 and not _LEVEL.fullmatch(parts[3]):
        raise LabelError(f"cannot use SELinux label {text!r}: {parts[3]!r} is no level")
    return Context(*parts)


def choose(wanted: pb.SELinuxOption, host: Host, *, level: str = "", is_free: bool = False) -> Labels:
    """Return a container's labels. Raises LabelError for options that cannot be honoured.

    level: the Pod's. is_free: privileged, or in the node's PID or IPC namespace, where separation would only
    break what such a container is for: it stays in the domain that the policy gives a runtime's children,
    unless it asks for another by name.
    """
    if refusal := host.refusal():
        _refuse(wanted, refusal)
        return Labels()
    named = [part for part in ("user", "role", "type") if getattr(wanted, part)]
    if is_free and not named:
        return Labels()
    given = defaults(host)
    if given is None:
        if named or wanted.level:
            raise LabelError("cannot set SELinux labels: the host's policy has no contexts for containers")
        return Labels()
    process, file = given
    at = wanted.level or level or process.level
    return Labels(
        _known(_merge(process, wanted, at), host),
        _known(Context(wanted.user or file.user, file.role, file.type, at), host),
    )


def defaults(host: Host) -> tuple[Context, Context] | None:
    """Return the policy's contexts of containers' processes and files; None if it has none for them.

    Debian's policy names some that it does not define: containers run without there, as with no names.
    """
    given = host.contexts()
    if host.refusal() or "process" not in given or "file" not in given:
        return None
    try:
        return parse(_known(parse(given["process"]), host)), parse(_known(parse(given["file"]), host))
    except LabelError as error:
        if not _told:
            _told.append(str(error))
            log.warning("containers run without SELinux labels: %s", error)
        return None


def of_layers(host: Host) -> str:
    """Return the context of image layers, which containers of every level may read; "" = the policy's.

    Some accesses are judged by a layer's own label, not by the overlay's (mprotect: fs/overlayfs maps it).
    """
    given = defaults(host)
    if given is None:
        return ""
    try:
        return _known(parse(host.contexts().get("ro_file", "")), host)
    except LabelError:
        return str(given[1])


def _merge(base: Context, wanted: pb.SELinuxOption, level: str) -> Context:
    return Context(wanted.user or base.user, wanted.role or base.role, wanted.type or base.type, level)


def _known(context: Context, host: Host) -> str:
    """Return a context as the kernel writes it, which is how it shows it later."""
    parse(str(context))
    try:
        return host.canonical(str(context))
    except OSError as error:
        cause = "the policy has no such context" if error.errno == 22 else error.strerror
        raise LabelError(f"cannot set SELinux label {str(context)!r}: {cause}") from error


def _refuse(wanted: pb.SELinuxOption, cause: str) -> None:
    if cause == UNWANTED or (cause == NO_KERNEL and wanted.type == _UNCONFINED):
        return
    parts = [part for part in ("user", "role", "type") if getattr(wanted, part)]
    if wanted.level and cause != NO_KERNEL:
        parts.append("level")
    if parts:
        raise LabelError(f"cannot set SELinux {', '.join(parts)}: {cause}")


def pick_level(base: str, used: Collection[str], draw: Callable[[int], int]) -> str:
    """Return a level of base's sensitivity with two categories that no other Pod has; "" without levels.

    draw: a random number below its argument. Raises LabelError when all are taken.
    """
    if not base:
        return ""
    sensitivity = base.split(":")[0].split("-")[0]
    for _ in range(1000):  # of half a million pairs, a node uses some hundreds
        low, high = sorted((draw(_CATEGORY_COUNT), draw(_CATEGORY_COUNT)))
        level = f"{sensitivity}:c{low},c{high}"
        if low != high and level not in used:
            return level
    raise LabelError("cannot set SELinux labels: no pair of categories is free")


def shared(label: str) -> str:
    """Return a label without categories: every level of the sensitivity may read it; "" for "". Pure."""
    if not label:
        return ""
    context = parse(label)
    return str(dataclasses.replace(context, level=context.level.split(":")[0].split("-")[0]))


NO_KERNEL = "the kernel has no SELinux"
UNWANTED = "the kernel has no SELinux, and none is wanted"
# A host without SELinux gives what it asks for; charts of network and storage drivers name it for every host.
_UNCONFINED = "spc_t"  # container-selinux container.te: "super privileged container", an unconfined domain


class Kernel:
    """The running kernel with its policy. is_wanted: False where the operator has switched labels off."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_wanted = is_wanted

    def refusal(self) -> str:
        if not selinux.is_enabled():
            return NO_KERNEL if self._is_wanted else UNWANTED
        return "" if self._is_wanted else "labels are switched off (enable_selinux)"

    def contexts(self) -> Mapping[str, str]:
        return selinux.contexts()

    def canonical(self, context: str) -> str:
        return selinux.canonical(context)


HOST = Kernel()
OFF = Kernel(is_wanted=False)
