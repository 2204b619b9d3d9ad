"""The Pod security standards: what of a Pod breaks "baseline" or "restricted". Pure.

Source: staging/src/k8s.io/pod-security-admission/policy, checks as of v1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from nanokube.api import objects, sysctls
from nanokube.api.objects import Object

PRIVILEGED: Final = "privileged"
BASELINE: Final = "baseline"
RESTRICTED: Final = "restricted"
LEVELS: Final = (PRIVILEGED, BASELINE, RESTRICTED)

_DEFAULT_CAPABILITIES: Final = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
_SAFE_VOLUMES: Final = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_SELINUX_TYPES: Final = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_GOOD_SECCOMP: Final = ("Localhost", "RuntimeDefault")
_Problem = tuple[str, str]
_Check = Callable[[Object], "_Problem | None"]


def violations(spec: Object, level: str) -> list[str]:
    """Say what in a Pod's spec breaks a level, in upstream's words and order; nothing if it complies."""
    return [f"{reason} ({detail})" if detail else reason for reason, detail in _problems(spec, level)]


def reasons(spec: Object, level: str) -> list[str]:
    """Say which rules of a level a Pod's spec breaks, in upstream's order, but not by what."""
    return [reason for reason, _ in _problems(spec, level)]


def _problems(spec: Object, level: str) -> list[_Problem]:
    if level == PRIVILEGED:
        return []
    checks = _BASELINE if level == BASELINE else _RESTRICTED
    return [problem for check in checks if (problem := check(spec)) is not None]


def _security(container: Object) -> Object:
    return container.get("securityContext") or {}


def _bad(spec: Object, is_bad: Callable[[Object], bool]) -> list[str]:
    return [c.get("name", "") for c in objects.all_containers(spec) if is_bad(c)]


def _quote(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _named(noun: str, values: Sequence[str]) -> str:
    return f"{noun if len(values) == 1 else noun + 's'} {_quote(values)}"


def _is_linux(spec: Object) -> bool:
    return (spec.get("os") or {}).get("name") != "windows"


def _has_user_namespace(spec: Object) -> bool:
    return spec.get("hostUsers") is False


def _app_armor(spec: Object) -> _Problem | None:
    def is_bad(holder: Object) -> bool:
        kind = (_security(holder).get("appArmorProfile") or {}).get("type")
        return kind not in (None, "RuntimeDefault", "Localhost")

    bad = _bad(spec, is_bad)
    setters = (["pod"] if is_bad(spec) else []) + ([_named("container", bad)] if bad else [])
    if not setters:
        return None
    return (
        "forbidden AppArmor profile",
        f'{" and ".join(setters)} must not set AppArmor profile type to "Unconfined"',
    )


def _added(container: Object) -> list[str]:
    return (_security(container).get("capabilities") or {}).get("add") or []


def _default_capabilities(spec: Object) -> _Problem | None:
    bad = _bad(spec, lambda c: bool(set(_added(c)) - _DEFAULT_CAPABILITIES))
    if not bad:
        return None
    names = sorted({n for c in objects.all_containers(spec) for n in _added(c)} - _DEFAULT_CAPABILITIES)
    detail = (
        f"{_named('container', bad)} must not include {_quote(names)} in securityContext.capabilities.add"
    )
    return "non-default capabilities", detail


def _restricted_capabilities(spec: Object) -> _Problem | None:
    if not _is_linux(spec):
        return None
    keeping = _bad(spec, lambda c: "ALL" not in ((_security(c).get("capabilities") or {}).get("drop") or ()))
    adding = _bad(spec, lambda c: bool(set(_added(c)) - {"NET_BIND_SERVICE"}))
    parts = []
    if keeping:
        parts.append(f'{_named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        names = sorted({n for c in objects.all_containers(spec) for n in _added(c)} - {"NET_BIND_SERVICE"})
        parts.append(
            f"{_named('container', adding)} must not include {_quote(names)} in "
            "securityContext.capabilities.add"
        )
    return ("unrestricted capabilities", "; ".join(parts)) if parts else None


def _host_namespaces(spec: Object) -> _Problem | None:
    found = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return ("host namespaces", ", ".join(found)) if found else None


def _host_paths(spec: Object) -> _Problem | None:
    found = [v.get("name", "") for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    return ("hostPath volumes", _named("volume", found)) if found else None


def _host_ports(spec: Object) -> _Problem | None:
    bad = _bad(spec, lambda c: any(p.get("hostPort") for p in c.get("ports") or ()))
    if not bad:
        return None
    ports = {
        p["hostPort"] for c in objects.all_containers(spec) for p in c.get("ports") or () if p.get("hostPort")
    }
    verb, noun = ("uses" if len(bad) == 1 else "use"), ("hostPort" if len(ports) == 1 else "hostPorts")
    return "hostPort", f"{_named('container', bad)} {verb} {noun} {', '.join(sorted(str(p) for p in ports))}"


def _hosts_of(container: Object) -> set[str]:
    handlers: list[Any] = [container.get(f"{name}Probe") for name in ("liveness", "readiness", "startup")]
    handlers += (container.get("lifecycle") or {}).values()
    actions = [h.get(key) for h in handlers if isinstance(h, dict) for key in ("httpGet", "tcpSocket")]
    return {a["host"] for a in actions if a and a.get("host")}


def _probe_hosts(spec: Object) -> _Problem | None:
    bad = _bad(spec, lambda c: bool(_hosts_of(c)))
    if not bad:
        return None
    hosts = sorted({h for c in objects.all_containers(spec) for h in _hosts_of(c)})
    verb, noun = ("uses" if len(bad) == 1 else "use"), ("host" if len(hosts) == 1 else "hosts")
    return "probe or lifecycle host", f"{_named('container', bad)} {verb} {noun} {_quote(hosts)}"


def _privileged(spec: Object) -> _Problem | None:
    bad = _bad(spec, lambda c: bool(_security(c).get("privileged")))
    return (
        ("privileged", f"{_named('container', bad)} must not set securityContext.privileged=true")
        if bad
        else None
    )


def _proc_mount(spec: Object) -> _Problem | None:
    if _has_user_namespace(spec):
        return None
    bad = _bad(spec, lambda c: _security(c).get("procMount") not in (None, "", "Default"))
    if not bad:
        return None
    kinds = sorted(
        {_security(c).get("procMount") or "" for c in objects.all_containers(spec)} - {"", "Default"}
    )
    return (
        "procMount",
        f"{_named('container', bad)} must not set securityContext.procMount to {_quote(kinds)}",
    )


def _selinux(spec: Object) -> _Problem | None:
    def is_bad(holder: Object) -> bool:
        options = _security(holder).get("seLinuxOptions") or {}
        return options.get("type", "") not in _SELINUX_TYPES or bool(
            options.get("user") or options.get("role")
        )

    bad = _bad(spec, is_bad)
    setters = (["pod"] if is_bad(spec) else []) + ([_named("container", bad)] if bad else [])
    if not setters:
        return None
    holders = [h for h in (spec, *objects.all_containers(spec)) if is_bad(h)]
    options = [_security(h).get("seLinuxOptions") or {} for h in holders]
    kinds = sorted({o["type"] for o in options if o.get("type", "") not in _SELINUX_TYPES})
    parts = [f"type{'s' if len(kinds) > 1 else ''} {_quote(kinds)}"] if kinds else []
    parts += [f"{key} may not be set" for key in ("user", "role") if any(o.get(key) for o in options)]
    return (
        "seLinuxOptions",
        f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(parts)}",
    )


def _seccomp(holder: Object) -> str | None:
    found: str | None = (_security(holder).get("seccompProfile") or {}).get("type")
    return found


def _seccomp_setters(spec: Object) -> _Problem | None:
    def is_bad(holder: Object) -> bool:
        return _seccomp(holder) not in (None, *_GOOD_SECCOMP)

    bad = _bad(spec, is_bad)
    setters = (["pod"] if is_bad(spec) else []) + ([_named("container", bad)] if bad else [])
    if not setters:
        return None
    kinds = sorted({str(_seccomp(h)) for h in (spec, *objects.all_containers(spec)) if is_bad(h)})
    return (
        "seccompProfile",
        f"{' and '.join(setters)} must not set securityContext.seccompProfile.type to {_quote(kinds)}",
    )


def _restricted_seccomp(spec: Object) -> _Problem | None:
    if not _is_linux(spec):
        return None
    explicit = _seccomp_setters(spec)
    if explicit is not None or _seccomp(spec) in _GOOD_SECCOMP:
        return explicit
    silent = _bad(spec, lambda c: _seccomp(c) is None)
    if not silent:
        return None
    detail = f"pod or {_named('container', silent)} must set securityContext.seccompProfile.type to "
    return "seccompProfile", detail + '"RuntimeDefault" or "Localhost"'


def _sysctls(spec: Object) -> _Problem | None:
    names = [s.get("name", "") for s in _security(spec).get("sysctls") or ()]
    bad = [name for name in names if name not in sysctls.SAFE]
    return ("forbidden sysctls", ", ".join(bad)) if bad else None


def _windows_host(spec: Object) -> _Problem | None:
    def is_bad(holder: Object) -> bool:
        return bool((_security(holder).get("windowsOptions") or {}).get("hostProcess"))

    bad = _bad(spec, is_bad)
    setters = (["pod"] if is_bad(spec) else []) + ([_named("container", bad)] if bad else [])
    if not setters:
        return None
    return (
        "hostProcess",
        f"{' and '.join(setters)} must not set securityContext.windowsOptions.hostProcess=true",
    )


def _escalation(spec: Object) -> _Problem | None:
    if not _is_linux(spec):
        return None
    bad = _bad(spec, lambda c: _security(c).get("allowPrivilegeEscalation") is not False)
    detail = f"{_named('container', bad)} must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", detail) if bad else None


def _volume_types(spec: Object) -> _Problem | None:
    bad: dict[str, str] = {}
    for volume in spec.get("volumes") or ():
        kinds = [k for k, v in volume.items() if k != "name" and v is not None]
        if kinds and kinds[0] not in _SAFE_VOLUMES:
            bad[volume.get("name", "")] = kinds[0]
    if not bad:
        return None
    kinds = sorted(set(bad.values()))
    verb = "uses" if len(bad) == 1 else "use"
    noun = "restricted volume type" if len(kinds) == 1 else "restricted volume types"
    return "restricted volume types", f"{_named('volume', list(bad))} {verb} {noun} {_quote(kinds)}"


def _non_root(spec: Object) -> _Problem | None:
    if _has_user_namespace(spec):
        return None
    wanted = _security(spec).get("runAsNonRoot")
    explicit = _bad(spec, lambda c: _security(c).get("runAsNonRoot") is False)
    setters = (["pod"] if wanted is False else []) + ([_named("container", explicit)] if explicit else [])
    if setters:
        return (
            "runAsNonRoot != true",
            f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false",
        )
    silent = _bad(spec, lambda c: _security(c).get("runAsNonRoot") is None)
    if wanted or not silent:
        return None
    return (
        "runAsNonRoot != true",
        f"pod or {_named('container', silent)} must set securityContext.runAsNonRoot=true",
    )


def _root_user(spec: Object) -> _Problem | None:
    if _has_user_namespace(spec):
        return None
    bad = _bad(spec, lambda c: _security(c).get("runAsUser") == 0)
    setters = (["pod"] if _security(spec).get("runAsUser") == 0 else []) + (
        [_named("container", bad)] if bad else []
    )
    return ("runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0") if setters else None


_SHARED: Final[tuple[_Check, ...]] = (
    _host_namespaces,
    _host_ports,
    _probe_hosts,
    _privileged,
    _proc_mount,
    _selinux,
)
_BASELINE: Final[tuple[_Check, ...]] = (
    _app_armor,
    _default_capabilities,
    _host_namespaces,
    _host_paths,
    _host_ports,
    _probe_hosts,
    _privileged,
    _proc_mount,
    _selinux,
    _seccomp_setters,
    _sysctls,
    _windows_host,
)
_RESTRICTED: Final[tuple[_Check, ...]] = (
    _app_armor,
    *_SHARED,
    _sysctls,
    _windows_host,
    _escalation,
    _restricted_capabilities,
    _volume_types,
    _non_root,
    _root_user,
    _restricted_seccomp,
)
