"""Lines of container logs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.wire import logline
from cri.wire.logline import LogLine, LogLineError

STAMP = b"2016-10-06T00:17:09.669794202Z"


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (STAMP + b" stdout F a b\n", LogLine(STAMP, "stdout", False, b"a b\n")),
        (STAMP + b" stderr P part\n", LogLine(STAMP, "stderr", True, b"part")),
        (STAMP + b" stdout F:x y\n", LogLine(STAMP, "stdout", False, b"y\n")),
        (STAMP + b" stdout F \n", LogLine(STAMP, "stdout", False, b"\n")),
        (STAMP + b" stdout F cut", LogLine(STAMP, "stdout", False, b"cut\n")),
    ],
)
def test_lines_parse(line: bytes, parsed: LogLine) -> None:
    assert logline.parse(line) == parsed


@pytest.mark.parametrize("line", [b"", b"x\n", STAMP + b" stdin F a\n", STAMP + b" stdout Q a\n"])
def test_other_lines_do_not(line: bytes) -> None:
    with pytest.raises(LogLineError):
        logline.parse(line)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("2016-10-06T00:17:09.669794202Z", 1475713029669794202),
    ],
)
def test_times_parse(text: str, time_ns: int) -> None:
    assert logline.parse_time_ns(text) == time_ns


@pytest.mark.parametrize("text", ["", "now", "2016-10-06", "2016-10-06T00:17:09", "2016-10-06T00:17:09.Z"])
def test_other_times_do_not(text: str) -> None:
    with pytest.raises(LogLineError):
        logline.parse_time_ns(text)


@given(
    st.integers(0, 4_000_000_000 * 10**9),
    st.binary(max_size=20).filter(lambda text: b"\n" not in text),
    st.booleans(),
)
def test_what_is_written_is_read(time_ns: int, text: bytes, is_partial: bool) -> None:
    line = logline.parse(logline.format_line(time_ns, "stderr", text, is_partial=is_partial))
    assert (line.time_ns(), line.text, line.is_partial) == (
        time_ns,
        text + b"\n" * (not is_partial),
        is_partial,
    )


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(line: bytes) -> None:
    with contextlib.suppress(LogLineError):
        logline.parse(line).time_ns()
