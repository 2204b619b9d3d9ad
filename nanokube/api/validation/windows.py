"""Validation of what only Windows has, and of what it does not have. Pure.

Nodes here run Linux; objects for other nodes are judged all the same, as upstream does.
Source: pkg/apis/core/validation/validation.go, validateWindows, validateWindowsSecurityContextOptions,
validateWindowsHostProcessPod.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import containers

_SYSTEMS: Final = ("linux", "windows")
_NONE: Final = "cannot be set for a windows pod"
_NOT_LINUX: Final = "windows options cannot be set for a linux pod"
# of the security context, and of the spec itself, in upstream's order
_POD_KEYS: Final = (
    ("appArmorProfile", True),
    ("seLinuxOptions", True),
    ("hostUsers", False),
    ("hostPID", False),
    ("hostIPC", False),
    ("seccompProfile", True),
    ("fsGroup", True),
    ("fsGroupChangePolicy", True),
    ("sysctls", True),
    ("shareProcessNamespace", False),
    ("runAsUser", True),
    ("runAsGroup", True),
    ("supplementalGroups", True),
    ("supplementalGroupsPolicy", True),
    ("seLinuxChangePolicy", True),
)
_FALSE_IS_NOTHING: Final = ("hostPID", "hostIPC", "sysctls")
_CONTAINER_KEYS: Final = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)


def validate(spec: Object, path: str) -> list[FieldError]:
    """Check that a pod spec fits the system it names."""
    system = spec.get("os")
    if system is None:
        return []
    name = system.get("name") or ""
    if not name:
        return [field.required(f"{path}.os.name")]
    if name == "linux":
        return _linux(spec, path)
    return _windows(spec, path) if name in _SYSTEMS else [field.not_supported(f"{path}.os", name, _SYSTEMS)]


def _linux(spec: Object, path: str) -> list[FieldError]:
    places = [(spec, path), *containers.every(spec, path)]
    return [
        field.forbidden(f"{where}.securityContext.windowsOptions", _NOT_LINUX)
        for each, where in places
        if (each.get("securityContext") or {}).get("windowsOptions") is not None
    ]


def _windows(spec: Object, path: str) -> list[FieldError]:
    found = list[FieldError]()
    for key, is_context in _POD_KEYS:
        value = ((spec.get("securityContext") or {}) if is_context else spec).get(key)
        if value if key in _FALSE_IS_NOTHING else value is not None:
            where = f"{path}.securityContext.{key}" if is_context else f"{path}.{key}"
            found.append(field.forbidden(where, _NONE))
    for container, where in containers.every(spec, path):
        context = container.get("securityContext") or {}
        found += [
            field.forbidden(f"{where}.securityContext.{key}", _NONE)
            for key in _CONTAINER_KEYS
            if context.get(key) is not None
        ]
    return found


def host_process(spec: Object, path: str) -> list[FieldError]:
    """Check that either all containers of a Pod are the node's own processes, or none."""
    own = _host_process(spec)
    found, count, total = list[FieldError](), 0, 0
    for container, where in containers.every(spec, path):
        total += 1
        wanted = _host_process(container)
        if own is not None and wanted is not None and own != wanted:
            shown = str(own).lower()
            detail = f"pod hostProcess value must be identical if both are specified, was {shown}"
            found.append(field.invalid(f"{where}.securityContext.windowsOptions.hostProcess", wanted, detail))
        count += bool(own if wanted is None else wanted)
    if count and count != total:
        detail = (
            "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        )
        found.append(field.invalid(path, "", detail))
    if count and not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        found.append(field.invalid(f"{path}.hostNetwork", False, detail))
    return found


def _host_process(obj: Object) -> bool | None:
    options = (obj.get("securityContext") or {}).get("windowsOptions") or {}
    found: bool | None = options.get("hostProcess")
    return found
