"""Who gets which address of the pool."""

from typing import Any

import pytest

from nanokube.controllers import service_lb

POOL = service_lb.parse("192.0.2.200-192.0.2.202,fd00::8/126")


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
        service_lb.parse(text)
