"""What an update of a Pod's ephemeral containers may change: none that is there. Pure.

Source: pkg/apis/core/validation/validation.go, ValidatePodEphemeralContainersUpdate.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import differences

# The fields in the order of upstream's internal type, with what stands for each that has no value.
_FIELDS: Final[tuple[tuple[str, Any], ...]] = (
    ("name", ""),
    ("image", ""),
    ("command", None),
    ("args", None),
    ("workingDir", ""),
    ("ports", None),
    ("envFrom", None),
    ("env", None),
    ("resources", None),
    ("resizePolicy", None),
    ("restartPolicy", None),
    ("restartPolicyRules", None),
    ("volumeMounts", None),
    ("volumeDevices", None),
    ("livenessProbe", None),
    ("readinessProbe", None),
    ("startupProbe", None),
    ("lifecycle", None),
    ("terminationMessagePath", ""),
    ("terminationMessagePolicy", ""),
    ("imagePullPolicy", ""),
    ("securityContext", None),
    ("stdin", False),
    ("stdinOnce", False),
    ("tty", False),
    ("targetContainerName", ""),
)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Tell which of the containers that a Pod had is gone or another; their order is nobody's concern."""
    found, path = list[FieldError](), "spec.ephemeralContainers"
    wanted = {each.get("name"): each for each in objects.spec(new).get("ephemeralContainers") or ()}
    for each in objects.spec(old).get("ephemeralContainers") or ():
        began = f"existing ephemeral containers {field.quote(each.get('name') or '')} may not be"
        other = wanted.get(each.get("name"))
        if other is None:
            found.append(field.forbidden(path, f"{began} removed\n"))
        elif other != each:
            shown = differences.show(_internal(each), _internal(other))
            found.append(field.forbidden(path, f"{began} changed\n{shown}"))
    return found


def _internal(container: Object) -> dict[str, Any]:
    """Write a container with the names and in the order of upstream's internal type."""
    shown = {name[:1].upper() + name[1:]: container.get(name, empty) for name, empty in _FIELDS}
    shown["TTY"] = shown.pop("Tty")
    shown["TargetContainerName"] = shown.pop("TargetContainerName")
    resources = container.get("resources") or {}
    names = ("limits", "requests", "claims")
    shown["Resources"] = {name.title(): resources.get(name) for name in names}
    return shown
