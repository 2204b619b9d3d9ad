"""Seccomp profiles -> BPF programs: RuntimeDefault, and Localhost profiles in the runtime-spec's JSON form.

Compiling goes through libseccomp (milliseconds), so programs are kept by content.
Source: runtime-spec config-linux.md "Seccomp"; seccomp(2); libseccomp seccomp_rule_add(3).
"""

from __future__ import annotations

import functools
import json
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

import pyseccomp

from cri.bundle import seccomp_default

_ACTIONS = {
    "SCMP_ACT_ALLOW": pyseccomp.ALLOW,
    "SCMP_ACT_LOG": pyseccomp.LOG,
    "SCMP_ACT_KILL": pyseccomp.KILL,
    "SCMP_ACT_KILL_THREAD": pyseccomp.KILL,
    "SCMP_ACT_KILL_PROCESS": pyseccomp.KILL_PROCESS,
    "SCMP_ACT_TRAP": pyseccomp.TRAP,
}
_OPERATORS = {
    "SCMP_CMP_NE": pyseccomp.NE,
    "SCMP_CMP_LT": pyseccomp.LT,
    "SCMP_CMP_LE": pyseccomp.LE,
    "SCMP_CMP_EQ": pyseccomp.EQ,
    "SCMP_CMP_GE": pyseccomp.GE,
    "SCMP_CMP_GT": pyseccomp.GT,
    "SCMP_CMP_MASKED_EQ": pyseccomp.MASKED_EQ,
}
_EPERM = 1
_lock = threading.Lock()  # libseccomp's filters are built one at a time


class ProfileError(ValueError):
    """A profile cannot be used; the message says why."""


@functools.lru_cache(maxsize=64)
def runtime_default(capabilities: int) -> bytes:
    """The program of our own default profile for a container with this capability mask."""
    return _compile(seccomp_default.profile(capabilities))


@functools.lru_cache(maxsize=256)
def from_json(content: bytes) -> bytes:
    """Compile a profile. Raises ProfileError."""
    try:
        profile = json.loads(content)
    except ValueError as error:
        raise ProfileError(f"cannot parse seccomp profile: {error}") from error
    if not isinstance(profile, dict):
        raise ProfileError("cannot use seccomp profile: not an object")
    return _compile(profile)


def _compile(profile: Mapping[str, Any]) -> bytes:
    with _lock:
        try:
            program = pyseccomp.SyscallFilter(
                _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
            )
            for name in profile.get("architectures") or ():
                _add_architecture(program, str(name))
            for rule in profile.get("syscalls") or ():
                _add(program, rule, profile)
            program.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # a tree rather than a list
            with tempfile.TemporaryFile() as file:
                program.export_bpf(file)
                file.seek(0)
                return file.read()
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ProfileError):
                raise
            raise ProfileError(f"cannot compile seccomp profile: {error}") from error


def _add(program: Any, rule: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
    action = _action(rule.get("action"), rule.get("errnoRet"))
    if action == _action(profile.get("defaultAction"), profile.get("defaultErrnoRet")):
        return  # libseccomp refuses a rule that does what happens anyway
    names = rule.get("names") or [rule["name"]]
    arguments = [_argument(a) for a in rule.get("args") or ()]
    indices = [a["index"] for a in rule.get("args") or ()]
    for name in names:
        if _number(name) is None:
            continue  # unknown to this kernel's headers: cannot be called either
        if len(indices) != len(set(indices)):  # several tests of one argument mean "any of them"
            for argument in arguments:
                program.add_rule(action, name, argument)
        else:
            program.add_rule(action, name, *arguments)


def _argument(test: Mapping[str, Any]) -> Any:
    operator = _OPERATORS.get(str(test.get("op")))
    if operator is None:
        raise ProfileError(f"cannot use seccomp operator {test.get('op')!r}")
    value, second = int(test.get("value", 0)), int(test.get("valueTwo", 0))
    if operator == pyseccomp.MASKED_EQ:
        return pyseccomp.Arg(int(test["index"]), operator, value, second)
    return pyseccomp.Arg(int(test["index"]), operator, value)


def _action(name: object, errno_value: object) -> int:
    if name == "SCMP_ACT_ERRNO":
        return int(pyseccomp.ERRNO(_EPERM if errno_value is None else int(str(errno_value))))
    if name not in _ACTIONS:
        raise ProfileError(f"cannot use seccomp action {name!r}")
    return int(_ACTIONS[str(name)])


@functools.lru_cache(maxsize=1024)
def _number(name: str) -> int | None:
    try:
        number = int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    except (ValueError, OSError, KeyError):
        return None
    return number if number != -1 else None  # below -1: of another architecture


def _add_architecture(program: Any, name: str) -> None:
    arch = getattr(pyseccomp.Arch, name.removeprefix("SCMP_ARCH_"), None)
    if arch is None:
        return
    try:
        program.add_arch(arch)
    except (OSError, FileExistsError):
        return  # the native one is there
