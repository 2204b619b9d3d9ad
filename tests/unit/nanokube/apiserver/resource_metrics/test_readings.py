from collections.abc import Mapping
from typing import Any

from nanokube.apiserver.resource_metrics.readings import BASE_S, FRESH_S, Readings
from nanokube.kit.clock import ManualClock

NODES = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]


class Kubelets:
    """Counts who is asked; node b does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def summary(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        if node["metadata"]["name"] == "b":
            raise ConnectionRefusedError("nobody there")
        self.asked += 1
        return {"node": {"cpu": {"usageCoreNanoSeconds": self.asked}}, "pods": []}


async def test_kubelets_are_asked_no_more_often_than_needed() -> None:
    clock, kubelets = ManualClock(1000.0), Kubelets()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    readings = Readings(kubelets.summary, clock, sleep)

    async def windows() -> list[float]:
        return [round(new.at - old.at, 3) for new, old in (await readings.of(NODES)).values()]

    assert (await windows(), kubelets.asked) == ([1.0], 2)  # the first to ask waits for a second reading
    assert (await windows(), kubelets.asked) == ([1.0], 2)
    clock.advance(FRESH_S + 5)
    assert (await windows(), kubelets.asked) == ([15.0], 3)
    clock.advance(BASE_S + 1)
    assert (await windows(), kubelets.asked) == ([1.0], 5)
    readings.forget(set())
    assert (await windows(), kubelets.asked) == ([1.0], 7)
