"""The way to the servers: forwarded, left when one does not answer, remembered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanokube.kit import virtual_time
from nanokube.roles import balancer


@contextlib.asynccontextmanager
async def server(word: bytes) -> AsyncIterator[str]:
    """A server that says its word and echoes; gives host:port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        with contextlib.suppress(OSError):
            while chunk := await reader.read(100):
                writer.write(chunk)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(200):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.005)
    raise AssertionError("the balancer does not listen")


def test_a_server_that_does_not_answer_is_left_and_its_connections_cut(tmp_path: Path) -> None:
    async def scenario() -> None:
        well = {"a": True, "b": True}
        names: dict[str, str] = {}

        async def answers(address: str) -> bool:
            return well[names[address]]

        async with server(b"a") as a, server(b"b") as b:
            names.update({a: "a", b: "b"})
            balanced = balancer.Balancer([a, b], answers, tmp_path / "servers.json")
            port = free_port()
            async with asyncio.TaskGroup() as group:
                running = group.create_task(balanced.run(port))
                reader, writer = await connect(port)
                assert await reader.read(1) == b"a"
                writer.write(b"echoed")
                assert await reader.read(100) == b"echoed"

                well["a"] = False
                await balanced.check()
                assert balanced.chosen == b
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read(1) == b"", "cut off"
                writer.close()
                reader, writer = await connect(port)
                assert await reader.read(1) == b"b"
                writer.close()

                well["b"] = False
                await balanced.check()
                assert balanced.chosen == b, "none answers: it stays"
                running.cancel()

    asyncio.run(scenario())


def test_servers_are_learned_and_kept_for_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def answers(_address: str) -> bool:
            return True

        file = tmp_path / "servers.json"
        first = balancer.Balancer(["192.0.2.1:6443"], answers, file)
        first.learn(["192.0.2.3:6443", "192.0.2.2:6443"])
        await first.check()
        assert first.chosen != "192.0.2.1:6443", "it has gone"
        first.learn([])
        assert json.loads(file.read_text()) == ["192.0.2.2:6443", "192.0.2.3:6443"]
        later = balancer.Balancer(["192.0.2.1:6443"], answers, file)
        assert sorted(later.servers[:2]) == ["192.0.2.2:6443", "192.0.2.3:6443"]
        assert later.servers[2] == "192.0.2.1:6443"

    asyncio.run(scenario())


def test_ready_endpoints_of_a_slice_are_servers() -> None:
    endpoints = [{"addresses": ["192.0.2.1"]}, {"addresses": ["192.0.2.2"], "conditions": {"ready": False}}]
    found = balancer.servers_of({"ports": [{"port": 6443}], "endpoints": endpoints})
    assert found == {"192.0.2.1:6443"}


@pytest.mark.parametrize(
    ("delays", "chosen", "within_s"),
    [
        pytest.param({"a": 0.5, "b": 0.0}, "a", 0.5, id="slow, but there"),
        pytest.param({"a": 9.0, "b": 0.1}, "b", balancer.SILENCE_S + 0.1, id="silent"),
        pytest.param({"a": 1.0, "b": 9.0}, "a", 1.0, id="both wait for their store"),
    ],
)
def test_others_are_asked_once_the_chosen_one_is_silent(
    tmp_path: Path, delays: dict[str, float], chosen: str, within_s: float
) -> None:
    asked = []

    async def answers(server: str) -> bool:
        asked.append(server)
        await asyncio.sleep(delays[server])
        return True

    async def scenario() -> None:
        balanced = balancer.Balancer(["a", "b"], answers, tmp_path / "servers.json")
        await balanced.check()
        assert balanced.chosen == chosen
        assert asyncio.get_running_loop().time() <= within_s + 0.01
        assert asked == (["a"] if within_s <= balancer.SILENCE_S else ["a", "b"])

    virtual_time.run(scenario())


def test_limits_of_time_hold_after_a_server_was_chosen(tmp_path: Path) -> None:
    """Debian 12's Python takes the request to cancel that a failed group leaves for one from outside."""

    async def answers(server: str) -> bool:
        await asyncio.sleep(0.1)
        return True

    async def scenario() -> None:
        balanced = balancer.Balancer(["a", "b"], answers, tmp_path / "servers.json")
        for _ in range(2):
            await balanced.check()
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.Event().wait()

    virtual_time.run(scenario())


def test_servers_of_ipv6_have_brackets() -> None:
    found = {"ports": [{"port": 6443}], "endpoints": [{"addresses": ["2001:db8::1"]}]}
    assert balancer.servers_of(found) == {"[2001:db8::1]:6443"}
    assert balancer.host_port("https://[2001:db8::1]:6443") == "[2001:db8::1]:6443"
