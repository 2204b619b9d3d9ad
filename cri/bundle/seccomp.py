"""Seccomp profiles -> BPF programs: RuntimeDefault, and Localhost profiles in the runtime-spec's JSON form.

Compiling goes through libseccomp (milliseconds), so programs are kept by content. What it writes is
made shorter, as every start and every exec waits until the kernel has taken it.
Source: runtime-spec config-linux.md "Seccomp"; seccomp(2); libseccomp seccomp_rule_add(3).
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

import pyseccomp

from cri.bundle import filter_tree, seccomp_default
from cri.linux import seccomp as kernel

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
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # there is one thread when a filter is loaded
    "SECCOMP_FILTER_FLAG_LOG": kernel.FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": kernel.FLAG_SPEC_ALLOW,
}
_ARCHITECTURE = re.compile(
    r"SCMP_ARCH_(X86|X86_64|X32|ARM|AARCH64|MIPS(EL)?(64(N32)?)?|PPC|PPC64|PPC64LE|S390|S390X|PARISC|PARISC64"
    r"|RISCV64|LOONGARCH64|M68K|SH|SHEB)"
)
# What a profile may consist of; anything else would change its meaning unseen (such as Docker's includes).
_PROFILE_KEYS = frozenset({"defaultAction", "defaultErrnoRet", "architectures", "flags", "syscalls"})
_RULE_KEYS = frozenset({"names", "name", "action", "errnoRet", "args", "comment"})
_ARGUMENT_KEYS = frozenset({"index", "value", "valueTwo", "op"})
_EPERM, _ERRNO_MAX = 1, 4095
_ARGUMENTS, _VALUE_MAX = 6, 2**64 - 1
_lock = threading.Lock()  # libseccomp's filters are built one at a time


class ProfileError(ValueError):
    """A profile cannot be used; the message says why."""


@functools.lru_cache(maxsize=64)
def runtime_default(capabilities: int) -> bytes:
    """The program of our own default profile for a container with this capability mask."""
    return _compile(seccomp_default.profile(capabilities))


@functools.lru_cache(maxsize=256)
def from_json(content: bytes) -> bytes:
    """Compile a profile; what it holds beyond the runtime-spec is refused. Raises ProfileError."""
    return _compile(_parse(content))


def flags(content: bytes) -> int:
    """The SECCOMP_FILTER_FLAG_* a profile asks for. Raises ProfileError."""
    result = 0
    for name in _list(_parse(content), "flags"):
        if name not in _FLAGS:
            raise ProfileError(f"cannot use seccomp flag {name!r}")
        result |= _FLAGS[name]
    return result


def _parse(content: bytes) -> Mapping[str, Any]:
    try:
        profile = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"cannot parse seccomp profile: {error}") from error
    if not isinstance(profile, dict):
        raise ProfileError("cannot use seccomp profile: not an object")
    _check_keys(profile, _PROFILE_KEYS, "profile")
    return profile


def _check_keys(found: object, known: frozenset[str], what: str) -> None:
    if not isinstance(found, Mapping):
        raise ProfileError(f"cannot use seccomp {what}: not an object")
    for key, value in found.items():
        if key not in known and value not in (None, "", [], {}):
            raise ProfileError(f"cannot use seccomp {what}: unknown field {key!r}")


def _list(holder: Mapping[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    if value is not None and not isinstance(value, list):
        raise ProfileError(f"cannot use seccomp profile: {key} is not a list")
    return value or []


def _compile(profile: Mapping[str, Any]) -> bytes:
    return filter_tree.compact(export(profile))


def export(profile: Mapping[str, Any]) -> bytes:
    """Compile a profile as libseccomp does it. Raises ProfileError."""
    with _lock:
        try:
            program = pyseccomp.SyscallFilter(
                _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
            )
            for name in _list(profile, "architectures"):
                _add_architecture(program, str(name))
            for rule in _list(profile, "syscalls"):
                _check_keys(rule, _RULE_KEYS, "rule")
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
    names = _list(rule, "names") or [rule["name"]]
    tests = _list(rule, "args")
    arguments = [_argument(test) for test in tests]
    if action == _action(profile.get("defaultAction"), profile.get("defaultErrnoRet")):
        return  # libseccomp refuses a rule that does what happens anyway
    indices = [test["index"] for test in tests]
    for name in names:
        if _number(name) is None:
            continue  # unknown to this kernel's headers: cannot be called either
        if len(indices) != len(set(indices)):  # several tests of one argument mean "any of them"
            for argument in arguments:
                program.add_rule(action, name, argument)
        else:
            program.add_rule(action, name, *arguments)


def _argument(test: Mapping[str, Any]) -> Any:
    _check_keys(test, _ARGUMENT_KEYS, "argument")
    operator = _OPERATORS.get(str(test.get("op")))
    if operator is None:
        raise ProfileError(f"cannot use seccomp operator {test.get('op')!r}")
    index = _whole(test.get("index"), _ARGUMENTS - 1, "argument index")
    value, second = (_whole(test.get(key) or 0, _VALUE_MAX, key) for key in ("value", "valueTwo"))
    if operator == pyseccomp.MASKED_EQ:
        return pyseccomp.Arg(index, operator, value, second)
    return pyseccomp.Arg(index, operator, value)


def _whole(value: object, highest: int, what: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise ProfileError(f"cannot use seccomp {what} {value!r}: not a number of 0 to {highest}")
    return value


def _action(name: object, number: object) -> int:
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        code = _whole(_EPERM if number is None else number, _ERRNO_MAX, "errnoRet")
        return int(pyseccomp.ERRNO(code) if name == "SCMP_ACT_ERRNO" else pyseccomp.TRACE(code))
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
    if not _ARCHITECTURE.fullmatch(name):
        raise ProfileError(f"cannot use seccomp architecture {name!r}")
    arch = getattr(pyseccomp.Arch, name.removeprefix("SCMP_ARCH_"), None)
    if arch is None:
        return  # unknown to this libseccomp: its calls stay forbidden
    try:
        program.add_arch(arch)
    except FileExistsError:
        return  # the native one is there
