"""The zone against the DNS specification of Kubernetes, question by question."""

from collections.abc import Sequence
from typing import Any

import pytest

from nanokube.api.objects import Object
from nanokube.dns import zone
from nanokube.dns.zone import Outcome

WEB = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "clusterIP": "10.96.0.20",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
    },
}
DB = {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None"}}
LONE = {"metadata": {"name": "lone", "namespace": "shop"}, "spec": {"clusterIP": "None"}}
OUT = {
    "metadata": {"name": "out", "namespace": "shop"},
    "spec": {"type": "ExternalName", "externalName": "example.com"},
}
DB_SLICE = {
    "metadata": {"name": "db-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
    "addressType": "IPv4",
    "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
    "endpoints": [
        {"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": True}},
        {"addresses": ["10.244.0.6"], "conditions": {"ready": True}},
        {"addresses": ["10.244.0.7"], "conditions": {"ready": False}},
    ],
}


class Facts:
    def service(self, namespace: str, name: str) -> Object | None:
        found: dict[str, Object] = {"web": WEB, "db": DB, "lone": LONE, "out": OUT}
        return found.get(name) if namespace == "shop" else None

    def slices(self, namespace: str, name: str) -> Sequence[Object]:
        return [DB_SLICE] if (namespace, name) == ("shop", "db") else []

    def service_of_ip(self, ip: str) -> Object | None:
        return WEB if ip == "10.96.0.20" else None

    def slices_with_ip(self, ip: str) -> Sequence[Object]:
        return [DB_SLICE] if ip.startswith("10.244.0.") else []


NAMES = zone.Zone("cluster.local", Facts())


@pytest.mark.parametrize(
    ("name", "type_", "values"),
    [
        ("web.shop.svc.cluster.local", "A", ["10.96.0.20"]),
        ("WEB.Shop.svc.cluster.LOCAL.", "A", ["10.96.0.20"]),
        ("web.shop.svc.cluster.local", "AAAA", []),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV", [(80, "web.shop.svc.cluster.local")]),
        ("_dns._udp.web.shop.svc.cluster.local", "SRV", [(53, "web.shop.svc.cluster.local")]),
        ("_http._tcp.web.shop.svc.cluster.local", "A", []),
        ("db.shop.svc.cluster.local", "A", ["10.244.0.5", "10.244.0.6"]),
        ("db-0.db.shop.svc.cluster.local", "A", ["10.244.0.5"]),
        ("10-244-0-6.db.shop.svc.cluster.local", "A", ["10.244.0.6"]),
        (
            "_sql._tcp.db.shop.svc.cluster.local",
            "SRV",
            [(5432, "db-0.db.shop.svc.cluster.local"), (5432, "10-244-0-6.db.shop.svc.cluster.local")],
        ),
        ("out.shop.svc.cluster.local", "A", ["example.com"]),
        ("10-244-0-9.shop.pod.cluster.local", "A", ["10.244.0.9"]),
        ("dns-version.cluster.local", "TXT", ["1.1.0"]),
        ("cluster.local", "A", []),
        ("svc.cluster.local", "A", []),
        ("shop.svc.cluster.local", "A", []),
        ("20.0.96.10.in-addr.arpa", "PTR", ["web.shop.svc.cluster.local"]),
        ("5.0.244.10.in-addr.arpa", "PTR", ["db-0.db.shop.svc.cluster.local"]),
    ],
)
def test_names_that_exist(name: str, type_: str, values: list[Any]) -> None:
    answer = NAMES.ask(name, type_)
    assert answer.outcome is Outcome.FOUND
    assert [record.value for record in answer.records] == values


@pytest.mark.parametrize(
    "name",
    [
        "none.shop.svc.cluster.local",
        "web.other.svc.cluster.local",
        "x.web.shop.svc.cluster.local",
        "_ssh._tcp.web.shop.svc.cluster.local",
        "_http._udp.web.shop.svc.cluster.local",
        "db-7.db.shop.svc.cluster.local",
        "lone.shop.svc.cluster.local",
        "not-an-ip.shop.pod.cluster.local",
        "10-244-0-999.shop.pod.cluster.local",
        "nonsense.cluster.local",
    ],
)
def test_names_that_do_not_exist(name: str) -> None:
    assert NAMES.ask(name, "A").outcome is Outcome.NO_NAME


@pytest.mark.parametrize(
    "name", ["example.com", "local", "8.8.8.8.in-addr.arpa", "", "web.shop.svc.cluster.local.lan"]
)
def test_other_names_are_foreign(name: str) -> None:
    assert NAMES.ask(name, "A").outcome is Outcome.FOREIGN


def test_srv_brings_the_addresses_of_its_targets() -> None:
    answer = NAMES.ask("_sql._tcp.db.shop.svc.cluster.local", "SRV")
    assert {record.value for record in answer.additional} == {"10.244.0.5", "10.244.0.6"}


def test_addresses_of_both_families_are_spelled_by_names_and_read_backwards() -> None:
    assert zone._reversed_address(["5", "0", "244", "10", "in-addr", "arpa"]) == "10.244.0.5"
    nibbles = ".".join(reversed("fd000000000000000000000000000005"))
    assert zone._reversed_address(f"{nibbles}.ip6.arpa".split(".")) == "fd00::5"
    assert zone._reversed_address(["5", "ip6", "arpa"]) is None
    assert zone._reversed_address(["x", "in-addr", "arpa"]) is None
