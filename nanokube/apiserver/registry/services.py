"""What a Service owns beside its object: cluster IPs and node ports.

Source: pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from nanokube.api import errors, field, resources
from nanokube.apiserver.registry import address_pools, allocator, service_families
from nanokube.apiserver.registry.hooks import Hooks, Undo

Claim = Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[None]]

_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


class ServiceHooks(Hooks):
    """Allocates on create and update. ports: the range of node ports, worded in refusals."""

    def __init__(
        self, pools: address_pools.AddressPools, ports: tuple[int, int], choose: Callable[[int], int]
    ) -> None:
        self._range = ports
        self._ips = pools
        # TCP and UDP may share a number; each protocol counts for itself.
        self._ports = {p: allocator.for_ports(*ports, choose) for p in ("TCP", "UDP", "SCTP")}

        self._claim: Claim | None = None

    def share(self, claim: Claim) -> None:
        """Other servers allocate, too. claim(new, old): makes sure of what a Service is to take."""
        self._claim = claim

    def note(self, *, taken: set[str], dropped: set[str]) -> None:
        """Follow the Services of all servers, by what `numbers` gives."""
        for number in taken | dropped:
            protocol, dash, port = number.partition("-")
            take: Callable[[], None]
            if dash:
                pool, value = self._ports[protocol], int(port)
                take, release = functools.partial(pool.take, value), functools.partial(pool.release, value)
            else:
                take = functools.partial(self._ips.note, number)
                release = functools.partial(self._ips.release, number)
            if number in dropped:
                release()
                continue
            with contextlib.suppress(allocator.Taken, allocator.NotInRange):
                take()

    def repair(self, services: Iterable[Mapping[str, Any]]) -> list[str]:
        """Take what stored Services own; return the names of those that own what another has."""
        clashes = []
        for service in services:
            spec = service.get("spec") or {}
            try:
                for ip in _ips(spec):
                    self._ips.note(ip)
                for protocol, port in _node_ports(spec):
                    self._ports[protocol].take(port)
            except (allocator.NotInRange, allocator.Taken, ValueError):
                clashes.append(f"{service['metadata']['namespace']}/{service['metadata']['name']}")
        return clashes

    def before_create(self, obj: dict[str, Any], *, is_dry_run: bool) -> Undo:
        """Allocate what the new Service asks for."""
        spec = obj["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        return self._allocate(obj, {}, is_dry_run=is_dry_run)

    def before_update(self, new: dict[str, Any], old: Mapping[str, Any], *, is_dry_run: bool) -> Undo:
        """Allocate what the change adds."""
        before = old.get("spec") or {}
        _drop_what_the_type_lost(new["spec"], before)
        return self._allocate(new, before, is_dry_run=is_dry_run)

    @property
    def is_shared(self) -> bool:
        """Whether other servers allocate, too."""
        return self._claim is not None

    async def claim(self, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Make sure of what was allocated."""
        if self._claim is not None:
            await self._claim(new, old)

    def after_update(self, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        """Release what the change dropped."""
        self._release(old.get("spec") or {}, new.get("spec") or {})

    def after_delete(self, obj: Mapping[str, Any]) -> None:
        """Release everything."""
        self._release(obj.get("spec") or {}, {})

    def _allocate(self, obj: dict[str, Any], before: Mapping[str, Any], *, is_dry_run: bool) -> Undo:
        taken: list[Undo] = []

        def undo() -> None:
            for release in taken:
                release()

        try:
            service_families.settle(obj, before, self._ips.families)
            self._cluster_ips(obj, before, taken)
            self._all_node_ports(obj, before, taken)
            self._health_port(obj, before, taken)
        except BaseException:
            undo()
            raise
        if is_dry_run:
            undo()
            taken.clear()
        return undo

    def _cluster_ips(self, obj: dict[str, Any], before: Mapping[str, Any], taken: list[Undo]) -> None:
        spec = obj["spec"]
        for index in service_families.missing(spec, before):
            wanted = spec["clusterIPs"]
            if wanted[index]:
                self._take_ip(obj, wanted[index])
            else:
                try:
                    wanted[index] = self._ips.take_any(spec["ipFamilies"][index])
                except allocator.Full as err:
                    name = obj["metadata"]["name"]
                    cause = f'failed to allocate a serviceIP for Service "{name}": range is full'
                    raise errors.internal(cause) from err
            taken.append(functools.partial(self._ips.release, wanted[index]))
            spec["clusterIP"] = wanted[0]

    def _take_ip(self, obj: Mapping[str, Any], wanted: str) -> None:
        try:
            return self._ips.take(wanted)
        except (address_pools.NoRange, allocator.NotInRange):
            cause = "the provided network does not match the current range"
        except allocator.Taken:
            cause = "provided IP is already allocated"
        raise _invalid(
            obj, "spec.clusterIPs", obj["spec"]["clusterIPs"], f"failed to allocate IP {wanted}: {cause}"
        )

    def _all_node_ports(self, obj: dict[str, Any], before: Mapping[str, Any], taken: list[Undo]) -> None:
        spec = obj["spec"]
        if spec.get("type") not in _WITH_NODE_PORTS:
            return
        if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
            return
        had = set(_node_ports(before))
        ports = spec.get("ports") or []
        for index, port in enumerate(ports):
            protocol, number = port.get("protocol", "TCP"), port.get("nodePort")
            if protocol not in self._ports:
                return  # validation, which follows, names it
            if number and (protocol, number) not in had:
                self._take_port(obj, f"spec.ports[{index}].nodePort", protocol, number, taken)
        for port in ports:
            if not port.get("nodePort"):
                pool = self._ports[port.get("protocol", "TCP")]
                try:
                    port["nodePort"] = pool.take_any()
                except allocator.Full as err:
                    raise errors.internal("failed to allocate a nodePort: range is full") from err
                taken.append(functools.partial(pool.release, port["nodePort"]))

    def _health_port(self, obj: dict[str, Any], before: Mapping[str, Any], taken: list[Undo]) -> None:
        """Take the port at which balancers ask a node for endpoints of its own, from the TCP node ports."""
        spec = obj["spec"]
        if not _is_health_checked(spec):
            return
        pool, wanted = self._ports["TCP"], spec.get("healthCheckNodePort")
        if not wanted:
            try:
                spec["healthCheckNodePort"] = pool.take_any()
            except allocator.Full as err:
                raise errors.internal("failed to allocate a nodePort: range is full") from err
            taken.append(functools.partial(pool.release, spec["healthCheckNodePort"]))
        elif wanted != before.get("healthCheckNodePort"):
            self._take_port(obj, "spec.healthCheckNodePort", "TCP", wanted, taken)

    def _take_port(
        self,
        obj: Mapping[str, Any],
        path: str,
        protocol: str,
        number: int,
        taken: list[Undo],
    ) -> None:
        try:
            self._ports[protocol].take(number)
            taken.append(functools.partial(self._ports[protocol].release, number))
            return
        except allocator.NotInRange:
            first, last = self._range
            cause = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
        except allocator.Taken:
            cause = "provided port is already allocated"
        raise _invalid(obj, path, number, cause)

    def _release(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if self._claim is not None:
            return  # the Service's event has done it; what was taken since is another's
        for ip in set(_ips(before)) - set(_ips(after)):
            self._ips.release(ip)
        for protocol, port in set(_node_ports(before)) - set(_node_ports(after)):
            self._ports[protocol].release(port)


def numbers(service: Mapping[str, Any]) -> set[str]:
    """Name what a Service has of what there is once only: addresses, and ports as "TCP-30080"."""
    spec = service.get("spec") or {}
    return {*_ips(spec), *(f"{protocol}-{port}" for protocol, port in _node_ports(spec))}


def _drop_what_the_type_lost(spec: dict[str, Any], before: Mapping[str, Any]) -> None:
    """A change of type takes away what the client merely repeated from the old type."""
    kind = spec.get("type", "ClusterIP")
    lost: tuple[str, ...] = ()
    if kind == "ExternalName":
        lost += ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
    if kind not in _WITH_NODE_PORTS:
        lost += ("healthCheckNodePort",)
    if not _is_reached_from_outside(spec):
        lost += ("externalTrafficPolicy",)
    if kind != "LoadBalancer":
        lost += ("loadBalancerClass", "allocateLoadBalancerNodePorts")
    if not _is_health_checked(spec) and "healthCheckNodePort" not in lost:
        lost += ("healthCheckNodePort",)
    for key in lost:
        if key in before and spec.get(key) == before[key]:
            del spec[key]
    if kind not in _WITH_NODE_PORTS and before.get("type") in _WITH_NODE_PORTS:
        had = {port for _, port in _node_ports(before)}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in had:
                del port["nodePort"]


def _ips(spec: Mapping[str, Any]) -> list[str]:
    return [str(ipaddress.ip_address(ip)) for ip in spec.get("clusterIPs") or () if ip != "None"]


def _node_ports(spec: Mapping[str, Any]) -> list[tuple[str, int]]:
    ports = spec.get("ports") or ()
    found = [(p.get("protocol", "TCP"), p["nodePort"]) for p in ports if p.get("nodePort")]
    health = spec.get("healthCheckNodePort")
    return [*found, ("TCP", health)] if health else found


def _is_reached_from_outside(spec: Mapping[str, Any]) -> bool:
    kind = spec.get("type", "ClusterIP")
    return kind in _WITH_NODE_PORTS or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def _is_health_checked(spec: Mapping[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _invalid(obj: Mapping[str, Any], path: str, value: object, detail: str) -> errors.ApiError:
    name = obj["metadata"].get("name", "")
    return errors.invalid(resources.get("services"), name, [field.invalid(path, value, detail)])
