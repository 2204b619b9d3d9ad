"""What balancers outside of the cluster are told of a node's proxy."""

from typing import Any

import orjson
import pytest

from nanokube.kit import clock
from nanokube.kit.http.message import Headers, Peer, Request, Response
from nanokube.proxy import healthz

NODE: dict[str, Any] = {"metadata": {"name": "n1"}, "spec": {}}
DOOMED = {**NODE, "spec": {"taints": [{"key": healthz.DOOMED, "effect": "NoSchedule"}]}}
GOING = {"metadata": {"name": "n1", "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def request(path: str) -> Request:
    return Request("GET", path, Headers(()), b"", Peer("127.0.0.1", 1))


async def asked(own: healthz.Healthz, path: str) -> tuple[int, Any]:
    answer = await own.health(request(path))
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    return answer.status, orjson.loads(answer.body) if answer.status != 404 else None


@pytest.mark.parametrize(
    ("node", "path", "status"),
    [
        (NODE, "/healthz", 200),
        (None, "/healthz", 503),
        (GOING, "/healthz", 503),
        (DOOMED, "/healthz", 503),
        (DOOMED, "/livez", 200),
        (NODE, "/", 404),
    ],
)
async def test_a_node_that_goes_away_gets_no_more_traffic(node: Any, path: str, status: int) -> None:
    own = healthz.Healthz(healthz.Progress(clock.ManualClock()), lambda: node)
    assert (await asked(own, path))[0] == status


async def test_changes_that_are_not_written_in_time_are_told() -> None:
    time = clock.ManualClock()
    progress = healthz.Progress(time)
    own = healthz.Healthz(progress, lambda: NODE)
    progress.queued()
    time.advance(healthz.LATE_S - 1)
    progress.queued()
    status, report = await asked(own, "/healthz")
    assert (status, report["lastUpdated"]) == (200, report["currentTime"])
    time.advance(2)
    status, report = await asked(own, "/livez")
    assert (status, report["healthy"]) == (503, False)
    assert report["lastUpdated"] < report["currentTime"]
    progress.applied()
    assert (await asked(own, "/healthz"))[0] == 200


async def test_the_mode_is_told() -> None:
    own = healthz.Healthz(healthz.Progress(clock.ManualClock()), lambda: NODE)
    answer = await own.status(request("/proxyMode"))
    assert isinstance(answer, Response)
    assert answer.body == b"nftables"
