"""ServiceCIDRs: ready once seen, kept while an address is in them alone."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects
from nanokube.controllers import service_cidrs
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage


def cidr(name: str, *ranges: str) -> dict[str, Any]:
    resource = service_cidrs.CIDRS
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**kind, "metadata": {"name": name}, "spec": {"cidrs": list(ranges)}}


def address(ip: str) -> dict[str, Any]:
    resource = service_cidrs.ADDRESSES
    labels = {service_cidrs.MANAGED_BY: service_cidrs.ALLOCATOR}
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**kind, "metadata": {"name": ip, "labels": labels}}


GOING = cidr("a", "10.97.0.0/24", "fd00:97::/120")


@pytest.mark.parametrize(
    ("others", "addresses", "expected"),
    [
        ([], [], True),
        ([], [address("10.96.0.1")], True),
        ([], [address("10.97.0.1")], False),
        ([], [address("fd00:97::1")], False),
        ([cidr("b", "10.97.0.0/25")], [address("10.97.0.1")], True),
        ([cidr("b", "10.97.0.0/25")], [address("10.97.0.200")], False),
        ([cidr("b", "10.97.0.0/16")], [address("fd00:97::1")], False),
        ([cidr("b", "10.97.0.0/16", "fd00:97::/120")], [address("fd00:97::1")], True),
    ],
)
def test_a_range_goes_when_no_address_is_in_it_alone(
    others: list[dict[str, Any]], addresses: list[dict[str, Any]], expected: bool
) -> None:
    assert service_cidrs.may_go(GOING, others, addresses) is expected


def test_a_range_is_ready_then_waits_for_its_last_address() -> None:
    async def story() -> None:
        stage = Stage(service_cidrs.ServiceCidrsController)

        def condition() -> tuple[str, str]:
            (found,) = stage.status(service_cidrs.CIDRS, "a")["conditions"]
            return found["status"], found["reason"]

        async with stage.running():
            await stage.client.create(service_cidrs.CIDRS, GOING)
            await stage.client.create(service_cidrs.ADDRESSES, address("10.97.0.1"))
            await asyncio.sleep(1)
            assert condition() == ("True", "")
            made = stage.client.read(service_cidrs.CIDRS, "a")
            assert made is not None
            assert list(objects.finalizers(made)) == [service_cidrs.FINALIZER]
            await stage.client.delete(service_cidrs.CIDRS, "a")
            await asyncio.sleep(30)
            assert condition() == ("False", "Terminating")
            await stage.client.delete(service_cidrs.ADDRESSES, "10.97.0.1")
            await asyncio.sleep(1)
            assert stage.client.read(service_cidrs.CIDRS, "a") is None

    virtual_time.run(story())
