"""Ranges and addresses by family: defaults, a node's share, what fits a cluster."""

import pytest

from nanokube.roles import ranges


@pytest.mark.parametrize(
    ("pods", "bits", "expected"),
    [
        ("10.1.0.0/16", (24, 64), "10.1.0.0/24"),
        ("10.1.0.0/26", (24, 64), "10.1.0.0/26"),
        ("10.1.0.0/16,fd00:1::/56", (26, 72), "10.1.0.0/26,fd00:1::/72"),
    ],
)
def test_a_nodes_share_is_the_first_of_each_range(pods: str, bits: tuple[int, int], expected: str) -> None:
    assert ranges.node_share(pods, *bits) == expected


@pytest.mark.parametrize(
    "pods", ["", "word", "10.1.0.1/16", "10.1.0.0/16,10.2.0.0/16", "fd00::/56,fd01::/56"]
)
def test_what_is_no_range_is_refused(pods: str) -> None:
    with pytest.raises(ranges.RangeError, match="pod cidr"):
        ranges.node_share(pods, 24, 64)


def test_default_ranges_are_of_the_first_address() -> None:
    assert ranges.default_ranges(("192.0.2.1", "2001:db8::1")) == ("10.244.0.0/16", "10.96.0.0/16")
    assert ranges.default_ranges(("2001:db8::1",)) == ("fd00:10:244::/56", "fd00:10:96::/112")


@pytest.mark.parametrize(
    ("own", "pods", "expected"),
    [
        (("192.0.2.1", "2001:db8::1"), "10.1.0.0/16", "192.0.2.1"),
        (("192.0.2.1", "2001:db8::1"), "fd00::/56,10.1.0.0/16", "2001:db8::1,192.0.2.1"),
        (("192.0.2.1",), "fd00::/56", "192.0.2.1"),
    ],
)
def test_of_a_hosts_addresses_the_clusters_families_count(
    own: tuple[str, ...], pods: str, expected: str
) -> None:
    assert ranges.fitting(own, pods) == expected
