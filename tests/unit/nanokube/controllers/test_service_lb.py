"""Who gets which address of the pool."""

import asyncio
from typing import Any

import pytest

from nanokube.api import resources
from nanokube.client import events, fake, informer
from nanokube.controllers import address_pool, env, service_lb
from nanokube.kit import clock, virtual_time

SERVICES = resources.get("services")

POOL = address_pool.parse("192.0.2.200-192.0.2.202,fd00::8/126")


def service(held: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    ingress = [{"ip": each} for each in held or ()]
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"], **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


@pytest.mark.parametrize(
    ("wanted", "taken", "expected"),
    [
        (service(), [], (["192.0.2.200"], True)),
        (service(), ["192.0.2.200"], (["192.0.2.201"], True)),
        (service(["192.0.2.202"]), [], (["192.0.2.202"], True)),
        (service(["192.0.2.202"]), ["192.0.2.202"], (["192.0.2.200"], True)),
        (service(["198.51.100.1"]), [], (["192.0.2.200"], True)),
        (service(loadBalancerIP="192.0.2.201"), [], (["192.0.2.201"], True)),
        (service(loadBalancerIP="198.51.100.1"), [], ([], False)),
        (service(), ["192.0.2.200", "192.0.2.201", "192.0.2.202"], ([], False)),
        (service(ipFamilies=["IPv4", "IPv6"]), [], (["192.0.2.200", "fd00::8"], True)),
    ],
)
def test_a_service_keeps_or_gets_an_address(
    wanted: dict[str, Any], taken: list[str], expected: tuple[list[str], bool]
) -> None:
    assert service_lb.plan(wanted, POOL, taken) == expected


def test_services_of_other_classes_are_not_ours() -> None:
    assert service_lb.is_ours(service())
    assert service_lb.is_ours(service(loadBalancerClass=service_lb.CLASS))
    assert not service_lb.is_ours(service(loadBalancerClass="example.com/other"))
    assert not service_lb.is_ours(service(type="NodePort"))


@pytest.mark.parametrize("text", ["word", "192.0.2.9-192.0.2.1", "192.0.2.1-fd00::1", "192.0.2.1/24"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        address_pool.parse(text)


def test_an_address_is_given_and_taken_back_when_the_type_changes() -> None:
    async def story() -> None:
        time = clock.LoopClock(0.0)
        client = fake.FakeClient(time=time)
        shared = informer.Factory(client)
        options = env.Options(load_balancer_pool="192.0.2.200/31")
        controller = service_lb.ServiceLbController(
            env.Env(client, shared, events.ListRecorder(), time, options)
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(shared.run()), group.create_task(controller.run())]
            for name in ("one", "two", "three"):
                meta = {"name": name, "namespace": "ns"}
                spec = {"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]}
                await client.create(
                    SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
                )
            await asyncio.sleep(1)
            given = [found(client, name) for name in ("one", "two", "three")]
            assert given == [["192.0.2.200"], ["192.0.2.201"], []]
            await client.patch(SERVICES, "one", {"spec": {"type": "ClusterIP"}}, "ns")
            await asyncio.sleep(61)
            assert found(client, "one") == []
            assert found(client, "three") == ["192.0.2.200"], "what was given back is given anew"
            for task in tasks:
                task.cancel()

    virtual_time.run(story())


def found(client: fake.FakeClient, name: str) -> list[str]:
    service = client.read(SERVICES, f"ns/{name}")
    assert service is not None
    assert service_lb.is_marked(service) is bool(service_lb.addresses(service))
    return service_lb.addresses(service)
