"""What exec, attach and port-forward say inside their streams, and how a request leaves HTTP."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cri.wire import portforward, remotecommand, upgrade
from cri.wire.errors import RemoteProtocolError
from cri.wire.remotecommand import Options, Size


def test_sizes_are_read_across_cuts() -> None:
    decoder = remotecommand.SizeDecoder()
    wire = b'{"Width":80,"Height":24}\n{"Width":100,"Height":30}\n'
    got = [size for i in range(0, len(wire), 7) for size in decoder.receive(wire[i : i + 7])]
    assert got == [Size(80, 24), Size(100, 30)]


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_sizes_raise_nothing_else(pieces: list[bytes]) -> None:
    decoder = remotecommand.SizeDecoder()
    try:
        for piece in pieces:
            list(decoder.receive(piece))
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize("text", ['{"Width":70000,"Height":1}', '{"Width":"a"}', "[]", "7"])
def test_sizes_that_no_terminal_has(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        list(remotecommand.SizeDecoder().receive(text.encode()))


def test_an_exit_code_becomes_a_cause_of_the_status() -> None:
    status = json.loads(remotecommand.encode_status(remotecommand.exit_status(3), as_json=True))
    assert (status["reason"], status["details"]["causes"]) == (
        "NonZeroExitCode", [{"reason": "ExitCode", "message": "3"}],
    )  # fmt: skip
    assert remotecommand.exit_status(0)["status"] == "Success"
    assert remotecommand.encode_status(remotecommand.exit_status(0), as_json=False) == b""


def test_expected_streams() -> None:
    terminal = Options(stdin=True, stdout=True, stderr=False, tty=True)
    assert remotecommand.expected_streams(terminal, "v4.channel.k8s.io") == {
        "error",
        "stdin",
        "stdout",
        "resize",
    }
    assert remotecommand.expected_streams(terminal, "v2.channel.k8s.io") == {"error", "stdin", "stdout"}


@pytest.mark.parametrize(
    ("headers", "role"),
    [
        ({"streamtype": "data", "port": "80", "requestid": "7"}, portforward.Role("7", "data", 80)),
        ({"streamtype": "error", "port": "80"}, portforward.Role("5", "error", 80)),
        ({"streamtype": "data", "port": "80"}, portforward.Role("3", "data", 80)),
    ],
)
def test_forward_streams_pair_up(headers: dict[str, str], role: portforward.Role) -> None:
    assert portforward.role(5, headers) == role


@pytest.mark.parametrize("port", ["", "0", "65536", "x", "-1", "1e3", "\u0661"])
def test_ports_that_do_not_exist(port: str) -> None:
    with pytest.raises(RemoteProtocolError):
        portforward.parse_port(port)


def test_upgrade_requests_are_told_apart() -> None:
    spdy = [
        ("Connection", "Upgrade"),
        ("Upgrade", "SPDY/3.1"),
        ("X-Stream-Protocol-Version", "v4.channel.k8s.io"),
    ]
    assert upgrade.parse(spdy) == upgrade.Wish(False, ("v4.channel.k8s.io",))
    websocket = [
        ("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "a, b"),
    ]  # fmt: skip
    wish = upgrade.parse(websocket)
    assert wish == upgrade.Wish(True, ("a", "b"), "dGhlIHNhbXBsZSBub25jZQ==")
    # the accept value is RFC 6455's own example
    assert upgrade.accept_fields(wish, "a") == [
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), ("Sec-WebSocket-Protocol", "a"),
    ]  # fmt: skip
    assert upgrade.parse([("Upgrade", "websocket")]) is None
