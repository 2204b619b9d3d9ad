"""Parts of reading container logs: options, filter, tail."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanokube.kit.http.message import Query
from nanokube.kubelet.server import log_options
from nanokube.kubelet.server.host import HostError
from nanokube.kubelet.server.log_filter import LogFilter
from nanokube.kubelet.server.log_options import LogOptions
from nanokube.kubelet.server.log_tail import tail_offset

LINES = [
    b"2026-01-01T00:00:01Z stdout P be\n",
    b"2026-01-01T00:00:01Z stdout F gin\n",
    b"2026-01-01T00:00:02Z stderr F err\n",
    b"broken\n",
    b"2026-01-01T00:00:03Z stdout F end\n",
]


def shown(**options: object) -> bytes:
    one = LogFilter(LogOptions(**options))  # type: ignore[arg-type]
    return b"".join(one.show(line) for line in LINES)


def test_partial_lines_are_joined_and_broken_ones_left_out() -> None:
    assert shown() == b"begin\nerr\nend\n"


def test_timestamps_stand_at_the_start_of_whole_lines_only() -> None:
    assert shown(timestamps=True).splitlines()[0] == b"2026-01-01T00:00:01Z begin"


def test_streams_and_bytes_are_limited() -> None:
    assert shown(streams=("stderr",)) == b"err\n"
    assert shown(limit_bytes=8) == b"begin\ner"


@given(
    st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line), max_size=12), st.integers(0, 14)
)
def test_a_tail_has_as_many_lines_as_asked(lines: list[bytes], count: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    offset = tail_offset(io.BytesIO(data), count)
    assert data[offset:].count(b"\n") == min(count, len(lines))


def test_a_tail_may_span_blocks_and_end_without_newline() -> None:
    data = b"x" * 100_000 + b"\n" + b"y" * 200_000 + b"\nz"
    assert data[tail_offset(io.BytesIO(data), 2) :] == b"y" * 200_000 + b"\nz"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", LogOptions()),
        ("follow=true&timestamps=1&previous=false", LogOptions(follow=True, timestamps=True)),
        ("tailLines=0&limitBytes=5", LogOptions(tail_lines=0, limit_bytes=5)),
        ("sinceSeconds=2", LogOptions(since_ns=8_000_000_000)),
        ("sinceTime=1970-01-01T00:00:01Z", LogOptions(since_ns=1_000_000_000)),
        ("stream=Stderr", LogOptions(streams=("stderr",))),
    ],
)
def test_options_are_read(query: str, options: LogOptions) -> None:
    assert log_options.parse(Query(query), 10_000_000_000) == options


@pytest.mark.parametrize(
    "query", ["tailLines=x", "tailLines=-1", "sinceTime=now", "stream=x", "limitBytes=0"]
)
def test_options_that_make_no_sense(query: str) -> None:
    with pytest.raises(HostError):
        log_options.parse(Query(query), 0)
