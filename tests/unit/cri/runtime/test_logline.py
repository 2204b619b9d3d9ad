"""CRI log lines out of reads of any size."""

from __future__ import annotations

import pytest

from cri.runtime.logline import LINE_MAX, Splitter, timestamp

NOW = 1_700_000_000_000_000_007
STAMP = b"2023-11-14T22:13:20.000000007Z"


def test_timestamp() -> None:
    assert timestamp(NOW) == STAMP


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([b"a\n"], [b"F a"]),
        ([b"a\nb\n"], [b"F a", b"F b"]),
        ([b"a", b"b\nc"], [b"F ab", b"P c"]),
        ([b"\n\n"], [b"F ", b"F "]),
        ([b""], []),
        ([b"x" * LINE_MAX + b"y\n"], [b"P " + b"x" * LINE_MAX, b"F y"]),
        ([b"x" * (LINE_MAX + 1)], [b"P " + b"x" * LINE_MAX, b"P x"]),
    ],
)
def test_lines(reads: list[bytes], expected: list[bytes]) -> None:
    splitter = Splitter("stdout")
    out = b"".join(splitter.feed(data, NOW) for data in reads) + splitter.finish(NOW)
    assert out.splitlines() == [STAMP + b" stdout " + line for line in expected]
