"""Profiles become BPF programs."""

from __future__ import annotations

import json

import pytest

from cri.bundle import capabilities, seccomp, seccomp_default


def test_the_default_profile_grows_with_capabilities() -> None:
    def names(granted: int) -> set[str]:
        rules = seccomp_default.profile(granted)["syscalls"]
        return {n for r in rules if r["action"] == "SCMP_ACT_ALLOW" and not r.get("args") for n in r["names"]}

    default, every = names(capabilities.DEFAULT), names(capabilities.ALL)
    assert default < every
    assert not default & {
        "mount",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "io_uring_setup",
        "clone3",
        "userfaultfd",
    }
    assert {"mount", "unshare", "clone3"} <= every
    assert not every & {"keyctl", "io_uring_setup", "kexec_load", "userfaultfd"}


def test_programs_are_made_once() -> None:
    assert seccomp.runtime_default(1) is seccomp.runtime_default(1)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"defaultAction":"SCMP_ACT_NOTIFY"}',
        b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[1]}',
        b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":{}}',
        b'{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/x.sock"}',
        b'{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}',
        b'{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}',
        b'{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":5000}',
        b"[" * 100000,
    ],
)
def test_bad_profiles_are_refused(content: bytes) -> None:
    with pytest.raises(seccomp.ProfileError):
        seccomp.from_json(content)


def test_unknown_system_calls_are_skipped() -> None:
    content = (
        b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["nosuch","chmod"],'
        b'"action":"SCMP_ACT_ERRNO","errnoRet":2,"args":[{"index":1,"value":1,"op":"SCMP_CMP_EQ"}]}]}'
    )
    assert seccomp.from_json(content)


def _rule(**fields: object) -> bytes:
    rule = {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", **fields}
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}).encode()


def _test(**fields: object) -> list[dict[str, object]]:
    return [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ", **fields}]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "SCMP_ACT_NOTIFY"},
        {"errnoRet": -1},
        {"errnoRet": "1"},
        {"includes": {"caps": ["CAP_SYS_ADMIN"]}},  # Docker's: would be a rule for everyone
        {"args": _test(op="SCMP_CMP_LIKE")},
        {"args": _test(index=6)},
        {"args": _test(value=-1)},
        {"args": _test(value=2**64)},
        {"args": _test(mask=1)},
        {"args": {}, "names": "chmod"},
    ],
)
def test_rules_that_cannot_be_kept_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(seccomp.ProfileError, match="cannot use seccomp"):
        seccomp.from_json(_rule(**fields))


@pytest.mark.parametrize(
    "action", ["ALLOW", "ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "LOG", "TRACE"]
)
def test_every_action_of_the_specification(action: str) -> None:
    assert seccomp.from_json(_rule(action=f"SCMP_ACT_{action}"))


@pytest.mark.parametrize("operator", ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
def test_every_operator_of_the_specification(operator: str) -> None:
    assert seccomp.from_json(_rule(args=_test(op=f"SCMP_CMP_{operator}", valueTwo=1)))


def test_architectures_and_flags() -> None:
    names = [f"SCMP_ARCH_{name}" for name in ("X86_64", "X86", "X32")]
    wanted = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": names, "flags": wanted}
    content = json.dumps(profile).encode()
    assert seccomp.from_json(content) != seccomp.from_json(b'{"defaultAction":"SCMP_ACT_ERRNO"}')
    assert seccomp.flags(content) == 6
    profile["flags"] = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    with pytest.raises(seccomp.ProfileError, match="flag"):
        seccomp.flags(json.dumps(profile).encode())
