"""Which ranges and addresses of a node fit together, one or two of each, by family. Pure.

The first part of each setting is of the cluster's primary family: Services have that one unless they ask.
Source: KEP-563; cmd/kube-apiserver/app/options/validation.go, pkg/controller/nodeipam/ipam/cidrset.
"""

import ipaddress
from collections.abc import Sequence

from nanokube.kit import addresses

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SMALLEST_BITS = {
    "node_pod_cidr": 2,
    "service_cidr": 4,
}  # what a node's gateway, what the fixed addresses take
# Upstream keeps a range's allocations in one object: so many bits it has.
MOST_SERVICE_BITS = 20
# Node ranges in a Pod range: upstream's CIDR set is a bit for each.
MOST_NODE_BITS = 16


class RangeError(ValueError):
    """A range or address that cannot work; the message names the setting and its value."""


def networks(name: str, value: str) -> tuple[Network, ...]:
    """Read a setting of one range, or of one of each family. Raises RangeError."""
    spoken = name.replace("_", " ")
    parts = addresses.split(value)
    if not parts:
        raise RangeError(f"{spoken} is empty: a range like 10.244.0.0/16 is needed")
    try:
        found = tuple(ipaddress.ip_network(each) for each in parts)
    except ValueError as err:
        raise RangeError(f"{spoken} {value!r} is not an IPv4 or IPv6 range, nor one of each: {err}") from err
    if len({each.version for each in found}) != len(found):
        raise RangeError(f"{spoken} {value!r} has two ranges of one family: give one of IPv4, one of IPv6")
    return found


def validate(pods: str, node_pods: str, services: str, node_ips: tuple[str, ...]) -> None:
    """Refuse ranges that do not fit together. Raises RangeError.

    node_pods: empty where the cluster gives them.
    """
    clusters, ranges = networks("pod_cidr", pods), networks("service_cidr", services)
    shares = networks("node_pod_cidr", node_pods) if node_pods else clusters
    families = [each.version for each in clusters]
    for spoken, others in (("service range", ranges), ("node's pod range", shares)):
        if [each.version for each in others] != families:
            raise RangeError(
                f"pod range {pods} and {spoken} {_joined(others)}"
                " are not of the same families in the same order"
            )
    for cluster, share, service in zip(clusters, shares, ranges, strict=True):
        _validate_family(cluster, share, service)
    _validate_addresses(families, node_ips)


def _validate_family(cluster: Network, share: Network, service: Network) -> None:
    if cluster.overlaps(service):
        raise RangeError(f"pod range {cluster} overlaps service range {service}")
    if not _is_inside(share, cluster):
        raise RangeError(f"node's pod range {share} is not inside pod range {cluster}")
    for spoken, found, least in (
        ("node's pod range", share, SMALLEST_BITS["node_pod_cidr"]),
        ("service range", service, SMALLEST_BITS["service_cidr"]),
    ):
        if found.max_prefixlen - found.prefixlen < least:
            raise RangeError(
                f"{spoken} {found} is too small: at least /{found.max_prefixlen - least} is needed"
            )
    if service.max_prefixlen - service.prefixlen > MOST_SERVICE_BITS:
        limit = service.max_prefixlen - MOST_SERVICE_BITS
        raise RangeError(f"service range {service} is too large: at most /{limit} is possible")
    if share.version == 6 and share.prefixlen - cluster.prefixlen > MOST_NODE_BITS:
        limit = share.prefixlen - MOST_NODE_BITS
        raise RangeError(
            f"pod range {cluster} is too large for node ranges of /{share.prefixlen}:"
            f" at most /{limit} is possible"
        )


def _validate_addresses(families: Sequence[int], node_ips: tuple[str, ...]) -> None:
    text = ",".join(node_ips)
    try:
        found = [ipaddress.ip_address(each).version for each in node_ips]
    except ValueError as err:
        raise RangeError(
            f"node address {text!r} is not an IP address, nor one of each family: {err}"
        ) from err
    if len(set(found)) != len(found):
        raise RangeError(f"node address {text!r} has two addresses of one family")
    for version in families:
        if version not in found:
            raise RangeError(
                f"node address {text!r} has none of IPv{version}, which the pod range has:"
                f" give one of each family with --node-ip, or ranges of one family"
            )
    if found[0] != families[0]:
        raise RangeError(
            f"node address {text!r} begins with IPv{found[0]}, the pod range with IPv{families[0]}:"
            " the first of each is the cluster's primary family"
        )


def _is_inside(share: Network, cluster: Network) -> bool:
    if isinstance(share, ipaddress.IPv4Network):
        return isinstance(cluster, ipaddress.IPv4Network) and share.subnet_of(cluster)
    return isinstance(cluster, ipaddress.IPv6Network) and share.subnet_of(cluster)


def _joined(found: tuple[Network, ...]) -> str:
    return ",".join(map(str, found))


def node_share(pods: str, mask_bits: int, mask_bits_ipv6: int) -> str:
    """Give the first node's share of the Pods' ranges: the first of each, all of a smaller one. RangeError.

    >>> node_share("10.1.0.0/16,fd00:1::/56", 24, 64), node_share("10.1.0.0/26", 24, 64)
    ('10.1.0.0/24,fd00:1::/64', '10.1.0.0/26')
    """
    found = []
    for each in networks("pod_cidr", pods):
        bits = max(mask_bits if each.version == 4 else mask_bits_ipv6, each.prefixlen)
        found.append(str(next(each.subnets(new_prefix=bits))))
    return ",".join(found)


def default_ranges(node_ips: tuple[str, ...]) -> tuple[str, str]:
    """Give the ranges of Pods and Services for a node of these addresses: of the first one's family.

    >>> default_ranges(("192.0.2.1", "2001:db8::1")), default_ranges(("2001:db8::1",))
    (('10.244.0.0/16', '10.96.0.0/16'), ('fd00:10:244::/56', 'fd00:10:96::/112'))
    """
    if not node_ips or addresses.family(node_ips[0]) == 4:
        return "10.244.0.0/16", "10.96.0.0/16"
    return "fd00:10:244::/56", "fd00:10:96::/112"


def fitting(node_ips: tuple[str, ...], pods: str) -> str:
    """Give the node's addresses of the families that the cluster has, in its order; all if one is missing.

    >>> fitting(("192.0.2.1", "2001:db8::1"), "fd00::/56,10.1.0.0/16"), fitting(("192.0.2.1",), "fd00::/56")
    ('2001:db8::1,192.0.2.1', '192.0.2.1')
    """
    found = [addresses.first_of(node_ips, addresses.family(each)) for each in addresses.split(pods)]
    return ",".join(found if all(found) else node_ips)
