"""When the Pod network looks at all, and when at new Pods' links only."""

import asyncio
import dataclasses
import ipaddress
from typing import Any, cast

import pytest

from nanokube.client import informer
from nanokube.kit.links import DEFAULT, Link, Sizes
from nanokube.podnet import plan, run

LARGE = Sizes(196608, 196608)
ETH0 = Link(2, "eth0", True, LARGE)
POD = Link(7, "nk0123456789ab", True, DEFAULT, cap=524280)


class Nodes:
    """An informer of one Node."""

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self.synced.set()

    def list(self) -> list[dict[str, Any]]:
        return [{"metadata": {"name": "own"}, "spec": {"podCIDRs": ["10.244.0.0/24"]}}]

    def subscribe(self, _tell: object) -> None: ...


class Applier:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def link_to(self, _address: plan.Address, /) -> None: ...

    def apply(self, _wanted: plan.Plan, /) -> None:
        self.asked.append("apply")

    def fit(self) -> Sizes:
        self.asked.append("fit")
        return LARGE


def asked(monkeypatch: pytest.MonkeyPatch, changes: list[Link | None], least: int) -> list[str]:
    """Return what is done once these changes are told, after the start, at which eth0 became known.

    least: of this many things it is certain that they come.
    """
    monkeypatch.setattr(run, "SETTLE_S", 0.0)
    applier = Applier()

    async def main() -> None:
        nodes = cast(informer.Informer, Nodes())
        network = run.PodNetwork(nodes, "own", [ipaddress.ip_network("10.244.0.0/16")], applier)
        network.on_links([ETH0])
        async with asyncio.TaskGroup() as group:
            task = group.create_task(network.run())
            await _settled(applier, 2)
            applier.asked.clear()
            network.on_links(changes)
            await _settled(applier, least)
            task.cancel()

    asyncio.run(main())
    return applier.asked


async def _settled(applier: Applier, least: int) -> None:
    """Wait until so much was asked, and no more for a moment."""
    count = -1
    async with asyncio.timeout(10):
        while len(applier.asked) < least or count != len(applier.asked):
            count = len(applier.asked)
            await asyncio.sleep(0.03)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([POD], ["fit"]),
        ([POD, dataclasses.replace(POD, index=8)], ["fit"]),
        ([dataclasses.replace(POD, sizes=LARGE)], []),
        ([dataclasses.replace(POD, is_up=False)], []),  # not ready, or on its way out
        ([ETH0], []),  # told of for other reasons
        ([dataclasses.replace(ETH0, sizes=DEFAULT)], ["apply", "fit"]),
        ([dataclasses.replace(ETH0, is_up=False)], ["apply", "fit"]),
        ([Link(3, "eth1", False, DEFAULT)], []),
        ([Link(3, "eth1", True, DEFAULT), POD], ["apply", "fit"]),
        ([None], ["apply", "fit"]),
    ],
)
def test_links_matter_as_ways_or_as_new_pods(
    monkeypatch: pytest.MonkeyPatch, changes: list[Link | None], expected: list[str]
) -> None:
    assert asked(monkeypatch, changes, len(expected)) == expected
