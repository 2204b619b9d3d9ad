"""Service kubernetes leads to the API servers that live, whichever of them writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.endpoint_leases import KNOWN, TTL_S, EndpointLeases
from nanokube.storage import maintenance
from nanokube.storage.store import prefix_end
from tests.unit.nanokube.apiserver.conftest import Api

NOWHERE = Path("/nonexistent")
SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"


def leases(api: Api, address: str) -> EndpointLeases:
    config = ApiServerConfig(address, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE)
    return EndpointLeases(api.server.registry, config, api.clock)


async def addresses(api: Api) -> list[str]:
    found: Any = (await api("GET", SLICE)).json
    listed = [address for each in found["endpoints"] for address in each["addresses"]]
    old: Any = (await api("GET", ENDPOINTS)).json
    assert [each["ip"] for each in old["subsets"][0]["addresses"]] == listed
    return listed


async def test_each_server_adds_itself_and_takes_itself_away(api: Api) -> None:
    one, two = leases(api, "192.0.2.1"), leases(api, "192.0.2.2")
    await one.renew()
    await two.renew()
    assert await addresses(api) == ["192.0.2.1", "192.0.2.2"]
    await two.leave()
    assert await addresses(api) == ["192.0.2.1"]
    await one.leave()
    assert await addresses(api) == ["192.0.2.1"], "the last leaves what was true"


async def test_a_server_that_died_is_taken_away_by_another(api: Api) -> None:
    one, two = leases(api, "192.0.2.1"), leases(api, "192.0.2.2")
    await one.renew()
    await two.renew()
    api.clock.advance(TTL_S - 1)
    await one.renew()
    api.clock.advance(2)
    await maintenance.sweep(api.store, api.clock.time())
    await one.renew()
    assert await addresses(api) == ["192.0.2.1"]


async def test_a_shared_store_remembers_servers_that_are_off(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their files of keys must be able to read what is written meanwhile."""

    async def known() -> list[str]:
        return [entry.key for entry in (await api.store.range(KNOWN, prefix_end(KNOWN))).entries]

    one = leases(api, "192.0.2.1")
    await one.renew()
    assert await known() == [], "its own store"
    monkeypatch.setattr(type(api.store), "is_shared", True)
    await one.renew()
    await one.leave()
    assert await known() == [f"{KNOWN}192.0.2.1"]
    assert await addresses(api) == ["192.0.2.1"]
