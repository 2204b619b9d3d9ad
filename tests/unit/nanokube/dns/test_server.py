"""The DNS server on addresses of both families, over UDP and TCP."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from dnslib import DNSRecord

from nanokube.dns import forward, server, zone


class Names(zone.Zone):
    """Knows one name."""

    def __init__(self) -> None:
        pass

    def ask(self, name: str, type_: str) -> zone.Answer:
        return zone.Answer(zone.Outcome.FOUND, (zone.Record(name, "AAAA", "fd00::5"),))


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on loopback")
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("tcp", [False, True])
async def test_each_address_answers(address: str, tcp: bool) -> None:
    port = free_port()
    serving = server.Server(Names(), "cluster.local", forward.Forwarder(Path("/nonexistent"), []))

    def ask() -> Any:
        question = DNSRecord.question("a.cluster.local", "AAAA")
        return DNSRecord.parse(question.send(address, port, tcp=tcp, ipv6=":" in address, timeout=2))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(serving.run(["127.0.0.1", "::1"], port))
        await asyncio.sleep(0.02)
        reply = await asyncio.to_thread(ask)
        task.cancel()
    assert [str(record.rdata) for record in reply.rr] == ["fd00::5"]
