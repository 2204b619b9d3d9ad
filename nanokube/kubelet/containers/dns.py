"""A Pod's resolver configuration by dnsPolicy and dnsConfig. Pure.

Source: pkg/kubelet/network/dns/dns.go.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

MAX_SERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_CHARS = 2048


@dataclasses.dataclass(frozen=True, slots=True)
class Resolver:
    """The lines of a resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse(text: str) -> Resolver:
    """Read a resolv.conf; the last `search` line wins."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        match words[0]:
            case "nameserver" if len(words) > 1:
                servers.append(words[1])
            case "search" | "domain":
                searches = [word.rstrip(".") or "." for word in words[1:]]
            case "options":
                options = words[1:]
    return Resolver(tuple(servers), tuple(searches), tuple(options))


def for_pod(pod: Object, *, cluster_dns: Sequence[str], cluster_domain: str, host: Resolver) -> Resolver:
    """Decide a Pod's resolver."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or not cluster_dns:
        base = host
    else:
        namespace = pod["metadata"]["namespace"]
        zones = [f"{namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
        base = Resolver(tuple(cluster_dns), _unique([*zones, *host.searches]), ("ndots:5",))
    return _limited(_merged(base, spec.get("dnsConfig") or {}))


def _merged(base: Resolver, extra: Object) -> Resolver:
    options = {option.partition(":")[0]: option for option in base.options}
    for option in extra.get("options") or ():
        value = option.get("value")
        options[option["name"]] = option["name"] if value is None else f"{option['name']}:{value}"
    return Resolver(
        _unique([*base.servers, *(extra.get("nameservers") or ())]),
        _unique([*base.searches, *(extra.get("searches") or ())]),
        tuple(options.values()),
    )


def _limited(resolver: Resolver) -> Resolver:
    searches = list(resolver.searches[:MAX_SEARCHES])
    while len(" ".join(searches)) > MAX_SEARCH_CHARS:
        searches.pop()
    return Resolver(resolver.servers[:MAX_SERVERS], tuple(searches), resolver.options)


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
