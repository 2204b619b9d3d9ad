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


@pytest.mark.parametrize("died_s", [0.0, 0.4, 0.95], ids="dead after {} s".format)
@pytest.mark.parametrize("election_s", [0.0, 1.9, 3.2, 3.4, 4.7], ids="election of {} s".format)
def test_who_answers_after_an_election_is_chosen_at_once(
    tmp_path: Path, died_s: float, election_s: float
) -> None:
    """The chosen server dies with etcd's leader: the others' reads wait until another leader is elected."""

    async def answers(server: str) -> bool:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(balancer.ANSWER_S):
                if loop.time() >= died_s:
                    await (asyncio.Event().wait() if server == "a:1" else until(died_s + election_s))
                return True
        return False

    async def scenario() -> None:
        balanced = balancer.Balancer(["a:1", "b:1", "c:1"], answers, tmp_path / "servers.json")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(balanced.watch())
            await asyncio.sleep(died_s)
            await until_left(balanced, "a:1")
            watching.cancel()
        noticed_s = balancer.CHECK_S + balancer.SILENCE_S
        took_s = asyncio.get_running_loop().time() - died_s
        assert took_s <= max(noticed_s, election_s + 2 * balancer.AGAIN_S) + 0.05

    virtual_time.run(scenario())


async def until_left(balanced: balancer.Balancer, server: str) -> None:
    """Return when another was chosen, to 0.01 s."""
    for _ in range(1000):
        if balanced.chosen != server:
            return
        await asyncio.sleep(0.01)


async def until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


def test_connections_that_are_being_made_go_to_the_server_that_is_chosen_meanwhile(tmp_path: Path) -> None:
    made: list[str] = []
    pair = (asyncio.StreamReader, asyncio.StreamWriter)

    async def dial(host: str, _port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made.append(host)
        if host == "silent":
            await asyncio.Event().wait()
        if host == "refusing":
            raise ConnectionRefusedError
        return pair  # type: ignore[return-value]  # nothing is read or written

    async def answers(server: str) -> bool:
        if server == "silent:1":
            await asyncio.sleep(balancer.ANSWER_S)
        return server == "well:1"

    async def scenario(first: str, began_s: float, until_s: float) -> None:
        made.clear()
        balanced = balancer.Balancer([first, "well:1"], answers, tmp_path / first, dial=dial)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(balanced.watch())
            await asyncio.sleep(began_s)
            assert (await balanced.connect())[0] == "well:1"
            assert asyncio.get_running_loop().time() <= until_s + 0.01
            watching.cancel()
        assert made == [first.partition(":")[0], "well"]

    async def nobody() -> None:
        balanced = balancer.Balancer(["refusing:1", "silent:1"], answers, tmp_path / "none", dial=dial)
        with pytest.raises(TimeoutError):
            await balanced.connect()
        alone = balancer.Balancer(["refusing:1"], answers, tmp_path / "one", dial=dial)
        began = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionRefusedError):
            await alone.connect()
        assert asyncio.get_running_loop().time() == began

    virtual_time.run(scenario("refusing:1", 0.5, 0.5))
    virtual_time.run(scenario("silent:1", 0.5, balancer.CHECK_S + balancer.SILENCE_S))
    virtual_time.run(nobody())
