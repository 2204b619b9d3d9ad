"""Validation of security contexts. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

import re
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, names, volume_sources, windows_options

_MAX_ID: Final = (1 << 31) - 1
_SYSCTL: Final = re.compile(r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")
_PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_MAX_PROFILE: Final = 4095  # PATH_MAX without its end
_NET_SYSCTLS: Final = ("net.",)
_IPC_SYSCTLS: Final = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
# key, name in Go: upstream shows its own struct of the context
_CONTEXT: Final = (
    ("capabilities", "Capabilities"),
    ("privileged", "Privileged"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("windowsOptions", "WindowsOptions"),
    ("runAsUser", "RunAsUser"),
    ("runAsGroup", "RunAsGroup"),
    ("runAsNonRoot", "RunAsNonRoot"),
    ("readOnlyRootFilesystem", "ReadOnlyRootFilesystem"),
    ("allowPrivilegeEscalation", "AllowPrivilegeEscalation"),
    ("procMount", "ProcMount"),
    ("seccompProfile", "SeccompProfile"),
    ("appArmorProfile", "AppArmorProfile"),
)
_INNER: Final = {
    "capabilities": (("add", "Add"), ("drop", "Drop")),
    "seLinuxOptions": (("user", "User"), ("role", "Role"), ("type", "Type"), ("level", "Level")),
    "windowsOptions": (
        ("gmsaCredentialSpecName", "GMSACredentialSpecName"),
        ("gmsaCredentialSpec", "GMSACredentialSpec"),
        ("runAsUserName", "RunAsUserName"),
        ("hostProcess", "HostProcess"),
    ),
    "seccompProfile": (("type", "Type"), ("localhostProfile", "LocalhostProfile")),
    "appArmorProfile": (("type", "Type"), ("localhostProfile", "LocalhostProfile")),
}


def validate_pod(spec: Object, path: str) -> list[FieldError]:
    """Check the security context of a pod."""
    context, found = spec.get("securityContext") or {}, list[FieldError]()
    for key in ("fsGroup", "runAsUser", "runAsGroup"):
        found += _id(context.get(key), f"{path}.{key}")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        found += _id(group, f"{path}.supplementalGroups[{index}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(field.invalid(f"{path}.shareProcessNamespace", True, detail))
    found += _sysctls(context, spec, f"{path}.sysctls")
    policy = context.get("fsGroupChangePolicy")
    found += formats.optional_choice(policy, ("Always", "OnRootMismatch"), f"{path}.fsGroupChangePolicy")
    found += _profiles(context, path)
    policy = context.get("supplementalGroupsPolicy")
    found += formats.optional_choice(policy, ("Merge", "Strict"), f"{path}.supplementalGroupsPolicy")
    policy = context.get("seLinuxChangePolicy")  # MountOption is behind a gate
    return found + formats.optional_choice(policy, ("Recursive",), f"{path}.seLinuxChangePolicy")


def own_users(spec: Object, path: str) -> list[FieldError]:
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
    found += formats.optional_choice(context.get("procMount"), ("Default", "Unmasked"), f"{path}.procMount")
    if context.get("procMount") == "Unmasked" and spec.get("hostUsers") is not False:
        detail = "`hostUsers` must be false to use `Unmasked`"
        found.append(field.invalid(f"{path}.procMount", "Unmasked", detail))
    found += _seccomp(context, path)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(field.invalid(path, _shown(context, _CONTEXT), detail))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(field.invalid(path, _shown(context, _CONTEXT), detail))
    found += windows_options.validate(context.get("windowsOptions"), f"{path}.windowsOptions")
    return found + _app_armor(context, path)


def _shown(obj: Object, keys: tuple[tuple[str, str], ...]) -> field.Struct:
    def value(key: str) -> Any:
        inner = _INNER.get(key)
        return obj.get(key) if inner is None or obj.get(key) is None else _shown(obj[key], inner)

    return field.Struct({name: value(key) for key, name in keys})


def _id(value: int | None, path: str) -> list[FieldError]:
    if value is None or 0 <= value <= _MAX_ID:
        return []
    return [field.invalid(path, value, names.between(0, _MAX_ID))]


def _sysctls(context: Object, spec: Object, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, entry in enumerate(context.get("sysctls") or ()):
        where, name = f"{path}[{index}].name", entry.get("name") or ""
        if not name:
            found.append(field.required(where))
        elif _SYSCTL.match(name) is None or len(name) > names.MAX_SUBDOMAIN:
            rule = f"must have at most {names.MAX_SUBDOMAIN} characters and match regex {_SYSCTL.pattern}"
            found.append(field.invalid(where, name, rule))
        elif name in seen:
            found.append(field.duplicate(where, name))
        seen.add(name)
        plain = _with_dots(name)
        for key, prefixes in (("hostNetwork", _NET_SYSCTLS), ("hostIPC", _IPC_SYSCTLS)):
            if spec.get(key) and plain.startswith(prefixes):
                found.append(field.invalid(where, name, f"may not be specified when '{key}' is true"))
                break
    return found


def _with_dots(name: str) -> str:
    """Read slashes as separators if one comes before any dot, as sysctl(8) does."""
    first = re.search(r"[./]", name)
    swapped = first is not None and first[0] == "/"
    return name.translate(str.maketrans("./", "/.")) if swapped else name


def _profiles(context: Object, path: str) -> list[FieldError]:
    found = _seccomp(context, path)
    found += windows_options.validate(context.get("windowsOptions"), f"{path}.windowsOptions")
    return found + _app_armor(context, path)


def _seccomp(context: Object, path: str) -> list[FieldError]:
    profile, path = context.get("seccompProfile"), f"{path}.seccompProfile"
    if profile is None:
        return []
    kind, local, where = _read(profile, path)
    found = _type(kind, path, "type is required when seccompProfile is set")
    if kind == "Localhost" and local is None:
        found.append(field.required(where, "must be set when seccomp type is Localhost"))
    elif kind == "Localhost":
        found += volume_sources.descending(local or "", where)
    elif local is not None:
        shown = _shown(profile, _INNER["seccompProfile"])
        found.append(field.invalid(where, shown, "can only be set when seccomp type is Localhost"))
    return found


def _app_armor(context: Object, path: str) -> list[FieldError]:
    profile, path = context.get("appArmorProfile"), f"{path}.appArmorProfile"
    if profile is None:
        return []
    kind, local, where = _read(profile, path)
    if kind not in _PROFILES:
        return _type(kind, path, "type is required when appArmorProfile is set")
    if kind != "Localhost":
        detail = "can only be set when AppArmor type is Localhost"
        return [] if local is None else [field.invalid(where, local, detail)]
    found = list[FieldError]()
    if local is not None and local != local.strip():
        found.append(field.invalid(where, local, "must not be padded with whitespace"))
    elif not local:
        found.append(field.required(where, "must be set when AppArmor type is Localhost"))
    if local is not None and len(local.encode()) > _MAX_PROFILE:
        found.append(field.too_long(where, _MAX_PROFILE))
    return found


def _read(profile: Object, path: str) -> tuple[str, str | None, str]:
    """Give a profile's type, the name of its file, and where that stands."""
    return profile.get("type") or "", profile.get("localhostProfile"), f"{path}.localhostProfile"


def _type(kind: str, path: str, missing: str) -> list[FieldError]:
    if not kind:
        return [field.required(f"{path}.type", missing)]
    return [] if kind in _PROFILES else [field.not_supported(f"{path}.type", kind, _PROFILES)]
