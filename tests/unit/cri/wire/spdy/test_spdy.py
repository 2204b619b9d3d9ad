"""SPDY frames and connections: wire bytes, rules, and that no bytes raise anything else than they should."""

import contextlib
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.wire.errors import LocalProtocolError, RemoteProtocolError
from cri.wire.spdy import connection, frames
from cri.wire.spdy.connection import Connection, DataReceived, StreamEnded, StreamOpened, StreamReset
from cri.wire.spdy.dictionary import DICTIONARY
from cri.wire.spdy.headers import Compressor, Decompressor

PLAIN_FRAMES: list[tuple[frames.Frame, str]] = [
    (frames.Data(1, b"hi"), "00000001 00000002 6869"),
    (frames.Data(5, b"", fin=True), "00000005 01000000"),
    (frames.RstStream(3, 5), "80030003 00000008 00000003 00000005"),
    (frames.Settings(((7, 65536),)), "80030004 0000000c 00000001 00000007 00010000"),
    (frames.Ping(1), "80030006 00000004 00000001"),
    (frames.GoAway(9), "80030007 00000008 00000009 00000000"),
    (frames.WindowUpdate(1, 4096), "80030009 00000008 00000001 00001000"),
]
HEADER_FRAMES: list[frames.Frame] = [
    frames.SynStream(1, {"streamtype": "error"}),
    frames.SynStream(3, {"streamtype": "data", "port": "80", "requestid": "0"}, fin=True, priority=3),
    frames.SynReply(1, {}),
    frames.MoreHeaders(1, {"a": "1\x002"}, fin=True),
]
BAD_BYTES = [
    ("data on stream 0", "00000000 00000001 61"),
    ("another version", "80020006 00000004 00000001"),
    ("unknown type", "8003000b 00000000"),
    ("huge control frame", "80030004 00ffffff"),
    ("short ping", "80030006 00000002 0001"),
    ("settings that lie about their number", "80030004 00000004 00000009"),
    ("header block that is no zlib", "80030002 00000006 00000001 ffff"),
]


def test_the_dictionary_has_the_checksum_that_peers_announce() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


@pytest.mark.parametrize(("frame", "wire"), PLAIN_FRAMES)
def test_frames_without_headers_have_these_bytes(frame: frames.Frame, wire: str) -> None:
    assert frames.Writer().encode(frame) == bytes.fromhex(wire)
    assert list(frames.Reader().receive(bytes.fromhex(wire))) == [frame]


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_frames_survive_the_wire_cut_anywhere(step: int) -> None:
    sent: list[frames.Frame] = [*HEADER_FRAMES, *(frame for frame, _ in PLAIN_FRAMES[1:])]
    writer, reader = frames.Writer(), frames.Reader()
    wire = b"".join(writer.encode(frame) for frame in sent)
    got = [frame for i in range(0, len(wire), step) for frame in reader.receive(wire[i : i + step])]
    assert got == sent


def test_a_header_block_from_go_is_read() -> None:
    # compress/zlib of Go with the dictionary, best compression, flushed; streamtype: error
    compressor = zlib.compressobj(9, zdict=DICTIONARY)
    block = compressor.compress(b"\0\0\0\1\0\0\0\x0astreamtype\0\0\0\5error") + compressor.flush(
        zlib.Z_SYNC_FLUSH
    )
    assert Decompressor().decode(block) == {"streamtype": "error"}


@pytest.mark.parametrize("wire", [wire for _, wire in BAD_BYTES], ids=[name for name, _ in BAD_BYTES])
def test_bytes_that_break_the_protocol(wire: str) -> None:
    with pytest.raises(RemoteProtocolError):
        list(frames.Reader().receive(bytes.fromhex(wire)))


def test_a_header_block_may_not_grow_without_bound() -> None:
    block = Compressor().encode({"a": "x" * 200_000})
    with pytest.raises(RemoteProtocolError, match="above"):
        Decompressor().decode(block)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_raise_anything_else(pieces: Sequence[bytes]) -> None:
    server = Connection(server=True)
    try:
        for piece in pieces:
            server.receive(piece)
    except RemoteProtocolError:
        pass


@given(st.sampled_from([1, 2, 3, 4, 6, 7, 8, 9, 11]), st.integers(0, 255), st.binary(max_size=40))
def test_no_control_frame_raises_anything_else(kind: int, flags: int, payload: bytes) -> None:
    wire = (0x80030000 | kind).to_bytes(4, "big") + (flags << 24 | len(payload)).to_bytes(4, "big") + payload
    with contextlib.suppress(RemoteProtocolError):
        Connection(server=True, flow_control=True).receive(wire)


def pair(*, flow_control: bool = False) -> tuple[Connection, Connection]:
    return (
        Connection(server=False, flow_control=flow_control),
        Connection(server=True, flow_control=flow_control),
    )


def test_a_stream_is_opened_used_and_closed_in_both_directions() -> None:
    client, server = pair()
    stream = client.open({"streamtype": "stdin"})
    client.send_data(stream, b"abc", fin=True)
    assert server.receive(client.data_to_send()) == [
        StreamOpened(1, {"streamtype": "stdin"}), DataReceived(1, b"abc"), StreamEnded(1),
    ]  # fmt: skip
    server.reply(stream)
    server.send_data(stream, b"def", fin=True)
    assert client.receive(server.data_to_send()) == [
        connection.StreamReplied(1, {}), DataReceived(1, b"def"), StreamEnded(1),
    ]  # fmt: skip
    assert not server.is_sendable(stream)
    with pytest.raises(LocalProtocolError):
        server.send_data(stream, b"more")


def test_ids_must_rise() -> None:
    writer = frames.Writer()
    wire = writer.encode(frames.SynStream(3, {})) + writer.encode(frames.SynStream(1, {}))
    with pytest.raises(RemoteProtocolError):
        Connection(server=True).receive(wire)


def test_data_after_a_reset_is_dropped() -> None:
    client, server = pair()
    stream = client.open({})
    server.receive(client.data_to_send())
    server.reset(stream)
    client.send_data(stream, b"late")
    assert server.receive(client.data_to_send()) == []
    assert client.receive(server.data_to_send()) == [StreamReset(1, frames.Status.CANCEL)]


def test_too_many_streams_are_refused() -> None:
    client, server = pair()
    for _ in range(connection.MAX_STREAMS + 1):
        client.open({})
    assert len(server.receive(client.data_to_send())) == connection.MAX_STREAMS
    last = 2 * connection.MAX_STREAMS + 1
    assert client.receive(server.data_to_send()) == [StreamReset(last, frames.Status.REFUSED_STREAM)]


def test_a_peers_ping_is_answered_and_our_own_is_not() -> None:
    client, server = pair()
    client.ping(1)
    wire = client.data_to_send()
    server.receive(wire)
    assert server.data_to_send() == wire
    client.receive(wire)
    assert client.data_to_send() == b""


def test_windows_bound_what_is_sent_when_flow_control_is_on() -> None:
    client, server = pair(flow_control=True)
    stream = client.open({})
    client.send_data(stream, bytes(connection.INITIAL_WINDOW))
    assert client.window(stream) == 0
    with pytest.raises(LocalProtocolError):
        client.send_data(stream, b"x")
    server.receive(client.data_to_send())
    server.acknowledge(stream, 100)
    client.receive(server.data_to_send())
    assert client.window(stream) == 100


def test_without_flow_control_nothing_waits_for_a_peer_that_never_opens_its_window() -> None:
    client, _ = pair()
    stream = client.open({})
    for _ in range(10):
        client.send_data(stream, bytes(connection.INITIAL_WINDOW))
