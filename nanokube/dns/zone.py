"""The names of a cluster, answered from Services and EndpointSlices. Pure.

Source: Kubernetes DNS-Based Service Discovery, version 1.1.0.
"""

import contextlib
import dataclasses
import enum
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from nanokube.api.objects import Object

SCHEMA_VERSION = "1.1.0"
# A port's priority and weight carry no meaning in Kubernetes; the specification's examples use these.
SRV_PRIORITY, SRV_WEIGHT = 0, 100


class Outcome(enum.Enum):
    """FOUND: the name exists, with or without records of the type; NO_NAME: NXDOMAIN; FOREIGN: ask others."""

    FOUND = enum.auto()
    NO_NAME = enum.auto()
    FOREIGN = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One resource record. name: the owner, without the last dot.

    value by type: A, AAAA: address; CNAME, PTR: name; TXT: text; SRV: (port, target name).
    """

    name: str
    type: str
    value: str | tuple[int, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """records answer the question; additional ones spare the next (the addresses of SRV targets)."""

    outcome: Outcome
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()


NO_NAME = Answer(Outcome.NO_NAME)
FOREIGN = Answer(Outcome.FOREIGN)
EMPTY = Answer(Outcome.FOUND)


class Source(Protocol):
    """Where the zone's facts are read, at the moment of the question."""

    def service(self, namespace: str, name: str) -> Object | None: ...

    def slices(self, namespace: str, name: str) -> Sequence[Object]: ...

    def service_of_ip(self, ip: str) -> Object | None: ...

    def slices_with_ip(self, ip: str) -> Sequence[Object]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One ready endpoint of a headless Service. hostname: its first label below the Service's name."""

    hostname: str
    ip: str
    ports: tuple[Object, ...]


class Zone:
    """Answers questions about names of the cluster domain and reverse names of its addresses."""

    def __init__(self, domain: str, source: Source) -> None:
        self._domain = domain.lower().strip(".")
        self._labels = self._domain.split(".")
        self._source = source

    def ask(self, name: str, type_: str) -> Answer:
        """Answer a question; name in any case, with or without the last dot; type_ as in `A`, `SRV`."""
        labels = name.lower().strip(".").split(".")
        if labels[-2:] in (["in-addr", "arpa"], ["ip6", "arpa"]):
            return self._reverse(labels, type_)
        if labels[-len(self._labels) :] != self._labels:
            return FOREIGN
        below = labels[: -len(self._labels)]
        match below:
            case ["dns-version"]:
                return _only(Record(f"dns-version.{self._domain}", "TXT", SCHEMA_VERSION), type_)
            case [] | ["svc"] | ["pod"]:
                return EMPTY
            case [_namespace, "svc" | "pod"]:
                return EMPTY
            case [address, namespace, "pod"]:
                return self._pod(address, namespace, type_)
            case [*prefix, service, namespace, "svc"]:
                return self._service(prefix, service, namespace, type_)
        return NO_NAME

    def _pod(self, address: str, namespace: str, type_: str) -> Answer:
        """Answer `10-244-0-5.default.pod`, `fd00--5.default.pod`: the address that the name itself spells."""
        owner = f"{address}.{namespace}.pod.{self._domain}"
        for kind, separator in (("A", "."), ("AAAA", ":")):
            with contextlib.suppress(ValueError):
                return _only(Record(owner, kind, str(_read(kind, address.replace("-", separator)))), type_)
        return NO_NAME

    def _service(self, prefix: list[str], name: str, namespace: str, type_: str) -> Answer:
        service = self._source.service(namespace, name)
        if service is None:
            return NO_NAME
        spec, base = service["spec"], f"{name}.{namespace}.svc.{self._domain}"
        if spec.get("type") == "ExternalName":
            return (
                NO_NAME if prefix else Answer(Outcome.FOUND, (Record(base, "CNAME", spec["externalName"]),))
            )
        if spec.get("clusterIP") == "None":
            return self._headless(prefix, base, list(_endpoints(self._source.slices(namespace, name))), type_)
        return _with_cluster_ip(prefix, base, spec, type_)

    def _headless(self, prefix: list[str], base: str, endpoints: list[Endpoint], type_: str) -> Answer:
        if not endpoints:
            return NO_NAME
        match prefix:
            case []:
                if type_ == "SRV":
                    return _srv(base, base, endpoints, lambda _port: True)
                return Answer(Outcome.FOUND, tuple(_addresses(base, endpoints, type_)))
            case [hostname]:
                named = [each for each in endpoints if each.hostname == hostname]
                records = tuple(_addresses(f"{hostname}.{base}", named, type_))
                return Answer(Outcome.FOUND, records) if named else NO_NAME
            case [port, protocol] if port.startswith("_") and protocol.startswith("_"):
                owner = f"{port}.{protocol}.{base}"
                found = _srv(owner, base, endpoints, lambda each: _is_port(each, port[1:], protocol[1:]))
                return found if type_ == "SRV" or found is NO_NAME else EMPTY
        return NO_NAME

    def _reverse(self, labels: list[str], type_: str) -> Answer:
        ip = _reversed_address(labels)
        if ip is None:
            return FOREIGN
        owner = ".".join(labels)
        service = self._source.service_of_ip(ip)
        if service is not None:
            meta = service["metadata"]
            target = f"{meta['name']}.{meta['namespace']}.svc.{self._domain}"
            return _only(Record(owner, "PTR", target), type_)
        targets = [
            f"{endpoint.hostname}.{name}.{each['metadata']['namespace']}.svc.{self._domain}"
            for each in self._source.slices_with_ip(ip)
            if (name := each["metadata"].get("labels", {}).get("kubernetes.io/service-name"))
            and self._is_headless(each["metadata"]["namespace"], name)
            for endpoint in _endpoints([each])
            if endpoint.ip == ip
        ]
        if not targets:
            return FOREIGN
        records = tuple(Record(owner, "PTR", target) for target in dict.fromkeys(targets))
        return Answer(Outcome.FOUND, records if type_ == "PTR" else ())

    def _is_headless(self, namespace: str, name: str) -> bool:
        service = self._source.service(namespace, name)
        return service is not None and service["spec"].get("clusterIP") == "None"


def _read(kind: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(text) if kind == "A" else ipaddress.IPv6Address(text)


def _reversed_address(labels: list[str]) -> str | None:
    """Return the address that a reverse name spells (RFC 1035, 3.5; RFC 3596, 2.5); None if none."""
    parts = labels[-3::-1]
    try:
        if labels[-2] == "in-addr":
            return str(ipaddress.IPv4Address(".".join(parts)))
        if len(parts) != 32 or any(len(each) != 1 for each in parts):
            return None
        return str(ipaddress.IPv6Address(int("".join(parts), 16)))
    except ValueError:
        return None


def _with_cluster_ip(prefix: list[str], base: str, spec: Object, type_: str) -> Answer:
    """Answer for a Service with addresses of its own. prefix: the labels before its name, as _http._tcp."""
    ports = spec.get("ports", ())
    addresses = tuple(
        Record(base, kind, ip) for kind, ip in _typed(spec.get("clusterIPs") or [spec["clusterIP"]])
    )
    match prefix:
        case []:
            if type_ == "SRV":
                records = tuple(Record(base, "SRV", (port["port"], base)) for port in ports)
                return Answer(Outcome.FOUND, records, addresses)
            return Answer(Outcome.FOUND, tuple(each for each in addresses if each.type == type_))
        case [port, protocol] if port.startswith("_") and protocol.startswith("_"):
            owner = f"{port}.{protocol}.{base}"
            matching = [each for each in ports if _is_port(each, port[1:], protocol[1:])]
            if not matching:
                return NO_NAME
            if type_ != "SRV":
                return EMPTY
            records = tuple(Record(owner, "SRV", (each["port"], base)) for each in matching)
            return Answer(Outcome.FOUND, records, addresses)
    return NO_NAME


def _srv(owner: str, base: str, endpoints: Iterable[Endpoint], wanted: "PortPredicate") -> Answer:
    records, additional = [], []
    for endpoint in endpoints:
        target = f"{endpoint.hostname}.{base}"
        ports = [port for port in endpoint.ports if wanted(port)]
        records += [Record(owner, "SRV", (port["port"], target)) for port in ports]
        if ports:
            additional += [Record(target, kind, ip) for kind, ip in _typed([endpoint.ip])]
    if not records:
        return NO_NAME
    return Answer(Outcome.FOUND, tuple(dict.fromkeys(records)), tuple(dict.fromkeys(additional)))


class PortPredicate(Protocol):
    """Chooses ports of an endpoint."""

    def __call__(self, port: Object, /) -> bool: ...


def _is_port(port: Object, name: str, protocol: str) -> bool:
    return (port.get("name") or "") == name and port.get("protocol", "TCP").lower() == protocol


def _endpoints(slices: Iterable[Object]) -> Iterator[Endpoint]:
    """Yield the endpoints that are ready (publishNotReadyAddresses makes all of them ready)."""
    for each in slices:
        if each.get("addressType") == "FQDN":
            continue
        for endpoint in each.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for ip in endpoint.get("addresses", ()):
                hostname = endpoint.get("hostname") or ip.replace(".", "-").replace(":", "-")
                yield Endpoint(hostname, ip, tuple(each.get("ports") or ()))


def _addresses(name: str, endpoints: Iterable[Endpoint], type_: str) -> Iterator[Record]:
    for ip in dict.fromkeys(endpoint.ip for endpoint in endpoints):
        yield from (Record(name, kind, ip) for kind, ip in _typed([ip]) if kind == type_)


def _typed(ips: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield from (("AAAA" if ":" in ip else "A", ip) for ip in ips)


def _only(record: Record, type_: str) -> Answer:
    return Answer(Outcome.FOUND, (record,)) if record.type == type_ else EMPTY
