"""Validation of security contexts. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

import re
from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names

_MAX_ID: Final = (1 << 31) - 1
_SYSCTL: Final = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")


def validate_pod(spec: Object, path: str) -> list[FieldError]:
    """Check the security context of a pod."""
    context, found = spec.get("securityContext") or {}, list[FieldError]()
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        found += _id(context.get(key), f"{path}.{key}")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        found += _id(group, f"{path}.supplementalGroups[{index}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(field.invalid(f"{path}.shareProcessNamespace", True, detail))
    policy = context.get("fsGroupChangePolicy")
    if policy and policy not in ("Always", "OnRootMismatch"):
        where = f"{path}.fsGroupChangePolicy"
        found.append(field.not_supported(where, policy, ("Always", "OnRootMismatch")))
    found += _own_users(spec, path.removesuffix(".securityContext"))
    found += _sysctls(context, path)
    return found + _profiles(context, path)


def _own_users(spec: Object, path: str) -> list[FieldError]:
    """Check what `hostUsers: false` excludes: the node's other namespaces, and block devices."""
    if spec.get("hostUsers") is not False:
        return []
    # Spelled as upstream spells them.
    shown = {"hostNetwork": "hostNetwork", "hostPID": "HostPID", "hostIPC": "HostIPC"}
    places = [f"{path}.{name}" for key, name in shown.items() if spec.get(key)]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            if container.get("volumeDevices"):
                places.append(f"{path}.{kind}[{index}].volumeDevices")
    return [field.forbidden(place, "when `hostUsers` is false") for place in places]


def validate_container(context: Object | None, path: str, spec: Object) -> list[FieldError]:
    """Check the security context of a container."""
    if context is None:
        return []
    found: list[FieldError] = []
    for key in ("runAsUser", "runAsGroup"):
        found += _id(context.get(key), f"{path}.{key}")
    if context.get("procMount") not in (None, "", "Default", "Unmasked"):
        found.append(field.not_supported(f"{path}.procMount", context["procMount"], ("Default", "Unmasked")))
    if context.get("procMount") == "Unmasked" and spec.get("hostUsers") is not False:
        detail = "`hostUsers` must be false to use `Unmasked`"
        found.append(field.invalid(f"{path}.procMount", "Unmasked", detail))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(field.invalid(path, context, detail))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(field.invalid(path, context, detail))
    return found + _profiles(context, path)


def _id(value: int | None, path: str) -> list[FieldError]:
    if value is None or 0 <= value <= _MAX_ID:
        return []
    return [field.invalid(path, value, names.between(0, _MAX_ID))]


def _sysctls(context: Object, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, entry in enumerate(context.get("sysctls") or ()):
        where, name = f"{path}.sysctls[{index}]", entry.get("name") or ""
        if not name:
            found.append(field.required(f"{where}.name"))
        elif _SYSCTL.fullmatch(name) is None or len(name) > names.MAX_SUBDOMAIN:
            rule = f"must have at most {names.MAX_SUBDOMAIN} characters and match regex {_SYSCTL.pattern}"
            found.append(field.invalid(f"{where}.name", name, rule))
        elif name in seen:
            found.append(field.duplicate(f"{where}.name", name))
        seen.add(name)
    return found


def _profiles(context: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key in ("seccompProfile", "appArmorProfile"):
        profile = context.get(key)
        if profile is None:
            continue
        where, kind, local = f"{path}.{key}", profile.get("type"), profile.get("localhostProfile")
        if not kind:
            found.append(field.required(f"{where}.type"))
        elif kind not in _PROFILES:
            found.append(field.not_supported(f"{where}.type", kind, _PROFILES))
        elif kind == "Localhost" and not local:
            shown = (
                "must be set when seccomp type is Localhost"
                if key[0] == "s"
                else "must be set when type is Localhost"
            )
            found.append(field.required(f"{where}.localhostProfile", shown))
        elif kind != "Localhost" and local:
            detail = (
                "can only be set when seccomp type is Localhost"
                if key[0] == "s"
                else "can only be set when type is Localhost"
            )
            found.append(field.invalid(f"{where}.localhostProfile", local, detail))
    return found
