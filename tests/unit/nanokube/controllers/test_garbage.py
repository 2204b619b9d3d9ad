"""When an owner counts as absent, and when nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import errors, resources
from nanokube.client import events, fake, informer
from nanokube.controllers import env
from nanokube.controllers.garbage import GarbageCollector
from nanokube.kit import clock

FLUNDERS = resources.Resource("wardle.example.com", "v1alpha1", "Flunder", "flunders", "flunder", True)
REFERENCE = {"apiVersion": FLUNDERS.api_version, "kind": "Flunder", "name": "f", "uid": "u1"}


class Client(fake.FakeClient):
    """A server that answers every GET with an error."""

    error: errors.ApiError

    async def get(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        raise self.error


@pytest.fixture
def collector() -> GarbageCollector:
    client = Client()
    time = clock.LoopClock(0.0)
    made = GarbageCollector(env.Env(client, informer.Factory(client), events.ListRecorder(), time))
    made._kinds[(FLUNDERS.api_version, "Flunder")] = FLUNDERS
    return made


def _client(collector: GarbageCollector) -> Client:
    found = collector._env.client
    assert isinstance(found, Client)
    return found


async def test_an_owner_that_its_server_does_not_know_is_absent(collector: GarbageCollector) -> None:
    _client(collector).error = errors.not_found(FLUNDERS, "f")
    assert (await collector._classify("ns", [REFERENCE])).absent == [REFERENCE]


async def test_an_owner_whose_kind_nobody_serves_is_not_known_to_be_absent(
    collector: GarbageCollector,
) -> None:
    """An APIService that is deleted takes the way to the objects along, not the objects."""
    _client(collector).error = errors.no_such_path()
    with pytest.raises(errors.ApiError, match="unknown kind Flunder"):
        await collector._classify("ns", [REFERENCE])


async def test_an_owner_that_was_seen_to_go_is_absent_though_its_kind_went_too(
    collector: GarbageCollector,
) -> None:
    """A definition that is deleted has its objects deleted first."""
    _client(collector).error = errors.no_such_path()
    owner = {"metadata": {"name": "f", "namespace": "ns", "uid": "u1"}}
    collector._handler(FLUNDERS)("DELETED", owner, owner)
    assert (await collector._classify("ns", [REFERENCE])).absent == [REFERENCE]
