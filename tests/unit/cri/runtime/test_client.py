"""Whose a connection to the supervisor is after a session."""

import concurrent.futures
import os
import socket
import time
from pathlib import Path

import pytest

from cri.runtime import packets
from cri.runtime.client import ExecSession, RuntimeClient
from cri.runtime.faults import RuntimeFault


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


def test_a_command_out_of_time_is_gone_before_its_caller_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller runs next must not see it (critest: execSync with timeout)."""
    session, theirs, released = _session()

    def supervise() -> None:
        assert packets.receive(theirs) == ({"op": "end"}, [])
        time.sleep(0.05)  # the kernel takes its time to kill
        order.append("gone")
        packets.send(theirs, {"exit": 137})

    order: list[str] = []
    client = RuntimeClient(Path("/nonexistent"))
    monkeypatch.setattr(client, "exec", lambda *_, **__: session)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        supervisor = pool.submit(supervise)
        with pytest.raises(RuntimeFault, match="time is up"):
            client.exec_sync("c", ["sleep", "4321"], timeout_s=0.01)
        order.append("told")
        theirs.shutdown(socket.SHUT_RDWR)
        supervisor.result(5)
    assert order == ["gone", "told"]
    released[0].close()
    theirs.close()


def test_a_command_that_cannot_be_killed_keeps_its_caller_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cri.runtime.client._DEATH_S", 0.02)
    session, theirs, _ = _session()
    client = RuntimeClient(Path("/nonexistent"))
    monkeypatch.setattr(client, "exec", lambda *_, **__: session)
    with pytest.raises(RuntimeFault, match="time is up"):
        client.exec_sync("c", ["dd"], timeout_s=0.01)
    assert packets.receive(theirs) == ({"op": "end"}, [])
    assert packets.receive(theirs) is None
    theirs.close()


def test_who_waits_for_an_end_is_let_go_when_its_caller_leaves_and_the_stop_goes_on() -> None:
    client, (ours, theirs), given_up = RuntimeClient(Path("/nonexistent")), packets.pair(), os.eventfd(1)
    client._idle.append(ours)
    with pytest.raises(RuntimeFault, match="time is up"):
        client.stop("c", 600, None, given_up)
    os.close(given_up)
    asked = packets.receive(theirs)
    assert asked is not None
    assert asked[0]["op"] == "stop"
    assert packets.receive(theirs) is None  # no other request gets this one's answer
    assert client._idle == []
    theirs.close()
