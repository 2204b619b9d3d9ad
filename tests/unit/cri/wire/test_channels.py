"""WebSocket channel messages."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.wire import channels
from cri.wire.channels import V4, V5, Channel, Data, HalfClosed
from cri.wire.errors import RemoteProtocolError

BASE64 = next(dialect for dialect in channels.DIALECTS if dialect.is_base64)


def read(dialect: channels.Dialect, *messages: bytes) -> list[Data | HalfClosed]:
    decoder = channels.Decoder(dialect)
    return [event for message in messages for event in decoder.receive(message, is_last=True)]


@pytest.mark.parametrize(
    ("dialect", "message", "events"),
    [
        (V5, b"\x00abc", [Data(0, b"abc")]),
        (V5, b"\x04{}", [Data(4, b"{}")]),
        (V5, b"\xff\x00", [HalfClosed(Channel.STDIN)]),
        (V4, b"\x00", []),
        (BASE64, b"0YWJj", [Data(0, b"abc")]),
    ],
)
def test_messages_mean(dialect: channels.Dialect, message: bytes, events: list[Data | HalfClosed]) -> None:
    assert read(dialect, message) == events


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (V5, b""),
        (V5, b"\x05x"),
        (V5, b"\xff"),
        (V5, b"\xff\x09"),
        (V4, b"\xff\x00"),
        (BASE64, b"0***"),
        (BASE64, b"9"),
    ],
)
def test_messages_that_break_the_protocol(dialect: channels.Dialect, message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(dialect, message)


@given(st.binary(max_size=50), st.integers(1, 7), st.sampled_from([V5, BASE64]))
def test_a_message_may_come_in_pieces(data: bytes, step: int, dialect: channels.Dialect) -> None:
    message = channels.encode(dialect, 0, data)
    pieces = [message[i : i + step] for i in range(0, len(message), step)]
    decoder = channels.Decoder(dialect)
    got = b""
    for index, piece in enumerate(pieces):
        for event in decoder.receive(piece, is_last=index == len(pieces) - 1):
            assert isinstance(event, Data)
            got += event.data
    assert got == data


@given(st.lists(st.tuples(st.binary(max_size=8), st.booleans())), st.sampled_from(channels.DIALECTS))
def test_no_bytes_raise_anything_else(pieces: list[tuple[bytes, bool]], dialect: channels.Dialect) -> None:
    decoder = channels.Decoder(dialect)
    try:
        for piece, is_last in pieces:
            list(decoder.receive(piece, is_last=is_last))
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        ([], ""),
        (["v5.channel.k8s.io", "v4.channel.k8s.io"], "v5.channel.k8s.io"),
        (["x", "base64.channel.k8s.io"], "base64.channel.k8s.io"),
        (["x"], None),
    ],
)
def test_the_clients_first_choice_counts(offered: list[str], name: str | None) -> None:
    chosen = channels.choose(offered)
    assert (chosen and chosen.name) == name or (chosen is None and name is None)


def test_base64_is_text() -> None:
    assert channels.encode(BASE64, 3, b"abc") == b"3" + base64.b64encode(b"abc")
