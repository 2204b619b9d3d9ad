"""What the supervisor refuses of a Spec, and how it says so."""

from __future__ import annotations

from cri.cgroup import devices
from cri.runtime import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cri.runtime.container import Container

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_ID_MAX = 2**31 - 2  # uids and gids: 0 <= id < 2**31-1, so that no cast wraps to 0


def check_spec(spec: dict[str, Any]) -> None:
    """Refuse ids that are no file names and user ids that could wrap. Raises RuntimeFault InvalidArgument."""
    for name in (spec["id"], spec["sandbox_id"], spec["namespaces"]["pid_target"] or "x"):
        if not 0 < len(name) <= 64 or not _ID_CHARACTERS.issuperset(name):
            raise faults.RuntimeFault(faults.INVALID_ARGUMENT, f"cannot use id {name!r}")
    user = spec["process"]["user"]
    for number in (user["uid"], user["gid"], *user["groups"]):
        if not 0 <= number <= _ID_MAX:
            raise faults.RuntimeFault(faults.INVALID_ARGUMENT, f"cannot use user or group id {number}")
    if not spec["process"]["argv"]:
        raise faults.RuntimeFault(faults.INVALID_ARGUMENT, "cannot create a container: no command specified")


def limit(made: Container, resources: dict[str, Any]) -> None:
    """Set resource limits. Raises RuntimeFault."""
    try:
        made.group.limit(resources)
    except OSError as error:
        raise faults.of_limits(error) from error


def device_rules(spec: dict[str, Any]) -> tuple[devices.Rule, ...]:
    """Which devices a container may open. Raises RuntimeFault InvalidArgument for one that is none."""
    if spec["host_devices"]:
        return devices.EVERYTHING
    rules = list(devices.DEFAULT)
    for device in spec["devices"]:
        try:
            rules += devices.of_path(device["source"], device["permissions"] or "rwm")
        except (OSError, ValueError) as error:
            raise faults.RuntimeFault(
                faults.INVALID_ARGUMENT, f"cannot use device {device['source']!r}: {error}"
            ) from error
    return tuple(rules)
