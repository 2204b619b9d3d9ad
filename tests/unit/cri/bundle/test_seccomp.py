"""Profiles become BPF programs."""

from __future__ import annotations

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
