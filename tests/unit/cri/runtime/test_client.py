"""Whose a connection to the supervisor is after a session."""

import socket

import pytest

from cri.runtime import packets
from cri.runtime.client import ExecSession


def _session() -> tuple[ExecSession, socket.socket, list[socket.socket]]:
    ours, theirs = packets.pair()
    released: list[socket.socket] = []
    return ExecSession(ours, 7, -1, released.append), theirs, released


def test_a_finished_session_gives_its_connection_back_and_kills_nobody_later() -> None:
    session, theirs, released = _session()
    packets.send(theirs, {"exit": 3})
    assert session.wait(5) == 3
    session.close()
    session.close()
    session.kill()
    theirs.setblocking(False)
    (connection,) = released
    with pytest.raises(BlockingIOError):
        packets.receive(theirs)
    assert session.fileno() == -1
    connection.close()
    theirs.close()


def test_an_unfinished_session_ends_its_connection_so_that_the_command_is_killed() -> None:
    session, theirs, released = _session()
    session.close()
    assert packets.receive(theirs) is None
    assert released == []
    theirs.close()
