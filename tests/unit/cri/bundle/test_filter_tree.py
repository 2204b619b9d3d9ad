"""What is written answers as libseccomp's program does, whatever the call."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cri.bundle import capabilities, filter_tree, seccomp, seccomp_default

# include/uapi/linux/audit.h: x86-64, i386, aarch64, arm, riscv64, none
_ARCHITECTURES = (0xC000003E, 0x40000003, 0xC00000B7, 0x40000028, 0xC00000F3, 0, 0xFFFFFFFF)
_X32 = 0x40000000  # arch/x86: __X32_SYSCALL_BIT
_NUMBERS = (
    *range(1024),
    *range(_X32 - 1, _X32 + 1024),
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
_VALUES = (0, 1, 8, 40, 41, 0x20008, 0x10000000, 0x7E020080, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1)
_ARGUMENTS = [(value,) * 6 for value in (0, 40, (1 << 64) - 1)]

Program = list[tuple[int, int, int, int]]


def parse(program: bytes) -> Program:
    return [(code, yes, no, k) for code, yes, no, k in struct.iter_unpack("=HBBI", program)]


def run(program: Program, number: int, architecture: int, arguments: Iterable[int]) -> int:
    """Interpret as the kernel does. Source: Documentation/networking/filter.rst."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments)
    at = accumulator = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x20:
            accumulator = int.from_bytes(data[k : k + 4], "little")
        elif code == 0x54:
            accumulator &= k
        elif code == 0x05:
            at += k
        elif code == 0x06:
            return k
        else:
            is_true = {
                0x15: accumulator == k,
                0x25: accumulator > k,
                0x35: accumulator >= k,
                0x45: accumulator & k != 0,
            }[code]
            at += yes if is_true else no


def assert_equal(
    old: bytes, new: bytes, numbers: Iterable[int], arguments: Iterable[tuple[int, ...]]
) -> None:
    before, after = parse(old), parse(new)
    assert len(after) < len(before)
    for each in itertools.product(numbers, _ARCHITECTURES, arguments):
        assert run(before, *each) == run(after, *each), each


@pytest.mark.parametrize("granted", [0, capabilities.DEFAULT, capabilities.ALL])
def test_the_default_profile_means_the_same_for_every_call(granted: int) -> None:
    old = seccomp.export(seccomp_default.profile(granted))
    assert_equal(old, filter_tree.compact(old), _NUMBERS, _ARGUMENTS[:1])


def test_the_default_profile_means_the_same_for_all_arguments() -> None:
    old = seccomp.export(seccomp_default.profile(capabilities.DEFAULT))
    numbers = (0, 3, 26, 41, 56, 101, 102, 120, 135, 136, 359, 435)  # those with tests, and some without
    arguments = [(*some, 0, 0, 0, 0) for some in itertools.product(_VALUES, repeat=2)]
    assert_equal(old, filter_tree.compact(old), numbers, arguments)


def test_the_default_profile_is_short() -> None:
    """Each instruction costs a start and an exec some 0.3 µs; libseccomp writes 864."""
    assert len(seccomp.runtime_default(capabilities.DEFAULT)) // 8 <= 220


_NAMES = [
    "read",
    "write",
    "open",
    "clone",
    "socket",
    "personality",
    "mount",
    "ptrace",
    "getpid",
    "stat",
    "chmod",
]
_OPERATORS = [f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")]
_TESTS = st.fixed_dictionaries(
    {
        "index": st.integers(0, 5),
        "value": st.sampled_from(_VALUES),
        "valueTwo": st.sampled_from(_VALUES),
        "op": st.sampled_from(_OPERATORS),
    }
)
_CONDITIONS = st.lists(_TESTS, max_size=2, unique_by=lambda test: test["index"])
_RULES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4, unique=True),
        "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL"]),
        "args": _CONDITIONS,
    }
)
_PROFILES = st.fixed_dictionaries(
    {
        "defaultAction": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_TRAP"]),
        "architectures": st.lists(
            st.sampled_from([f"SCMP_ARCH_{name}" for name in ("X86", "X32", "AARCH64", "ARM")]), max_size=3
        ),
        # libseccomp takes minutes to merge many conditions on one call
        "syscalls": st.lists(_RULES, max_size=4),
    }
)


# always the same examples: for some, libseccomp takes minutes all the same
@settings(max_examples=60, deadline=None, derandomize=True)
@given(profile=_PROFILES, seed=st.integers(0, 1 << 32))
def test_any_profile_means_the_same(profile: Mapping[str, Any], seed: int) -> None:
    try:
        old = seccomp.export(profile)
    except seccomp.ProfileError:  # libseccomp refuses some contradictions
        return
    before, after = parse(old), parse(filter_tree.compact(old))
    chosen = random.Random(seed)
    known = {k for _, _, _, k in before if k < 2048} | {0, 1024}
    for number, architecture in itertools.product(known, _ARCHITECTURES):
        arguments = [chosen.choice(_VALUES) for _ in range(6)]
        for nr in (number, number + 1, number | _X32):
            assert run(before, nr, architecture, arguments) == run(after, nr, architecture, arguments)


def test_jumps_beyond_their_reach() -> None:
    rules = [
        {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": number}
        for number, name in enumerate((seccomp_default._FILES + seccomp_default._PROCESSES).split(), 2)
    ]
    tested = [{**rule, "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]} for rule in rules]
    for some in (rules, tested):
        profile = {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86"],
            "syscalls": some,
        }
        old = seccomp.export(profile)
        before, after = parse(old), parse(filter_tree.compact(old))
        for each in itertools.product(range(512), _ARCHITECTURES[:3], [(3,) * 6, (4,) * 6]):
            assert run(before, *each) == run(after, *each), each


@pytest.mark.parametrize(
    "program",
    [
        [(0x06, 0, 0, 0)],
        [(0x20, 0, 0, 0), (0x54, 0, 0, 7), (0x15, 0, 1, 3), (0x06, 0, 0, 1), (0x06, 0, 0, 2)],  # arithmetic
        [(0x20, 0, 0, 0), (0x45, 0, 1, 3), (0x06, 0, 0, 1), (0x06, 0, 0, 2)],  # bits of the number
        [  # the number before the architecture
            (0x20, 0, 0, 0),
            (0x15, 0, 3, 3),
            (0x20, 0, 0, 4),
            (0x15, 0, 1, 9),
            (0x06, 0, 0, 1),
            (0x06, 0, 0, 2),
        ],
    ],
)
def test_what_is_not_understood_is_left_alone(program: Program) -> None:
    content = b"".join([struct.pack("=HBBI", *each) for each in program])
    assert filter_tree.compact(content) == content
