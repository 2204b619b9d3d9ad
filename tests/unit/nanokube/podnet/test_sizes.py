"""How large packets of Pods may be: what every way out takes."""

import dataclasses

import pytest

from nanokube.kit import links
from nanokube.kit.links import DEFAULT_BYTES, Sizes
from nanokube.podnet import sizes

BIG = 196608
LARGE = Sizes(BIG, BIG)


def link(
    index: int,
    held: Sizes = LARGE,
    *,
    name: str = "",
    is_up: bool = True,
    below: int | None = None,
    master: int | None = None,
    space: int | None = None,
    kind: str = "",
) -> links.Link:
    return links.Link(index, name or f"eth{index}", is_up, held, 524280, below, space, master, kind)


@pytest.mark.parametrize(
    ("found", "ways", "expected"),
    [
        ([link(1)], {4: [1], 6: [1]}, LARGE),
        ([link(1)], {4: [1]}, Sizes(BIG, DEFAULT_BYTES)),  # a cluster without IPv6
        ([link(1), link(2, Sizes(131072, BIG))], {4: [1, 2], 6: [1, 2]}, Sizes(131072, BIG)),
        ([link(1), link(2, Sizes())], {4: [1], 6: [2]}, Sizes(BIG, DEFAULT_BYTES)),
        ([link(1, Sizes(16384, 16384))], {4: [1], 6: [1]}, Sizes()),  # no way makes Pods worse than now
        ([link(1), link(2, Sizes(), is_up=False)], {4: [1, 2]}, Sizes(BIG)),
        ([link(1), link(2, Sizes(), kind="dummy")], {4: [1, 2]}, Sizes(BIG)),
        ([link(1), link(2, Sizes(), kind="bridge")], {4: [1, 2]}, Sizes(BIG)),  # without ports
        ([link(1), link(2, Sizes(), kind="bridge"), link(3, master=2)], {4: [1, 2]}, Sizes()),
        ([link(1), link(2, Sizes(), name="nk0123456789ab")], {4: [1, 2]}, Sizes(BIG)),  # a Pod's
        ([link(1)], {4: [1, 9]}, Sizes(BIG)),  # gone meanwhile
        ([], {4: [], 6: []}, Sizes()),
    ],
)
def test_the_least_of_the_ways_rules(
    found: list[links.Link], ways: dict[int, list[int]], expected: Sizes
) -> None:
    assert sizes.wanted(found, ways) == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([link(2, Sizes())], Sizes(BIG)),  # nothing to do with it
        ([link(2, Sizes(), master=1)], Sizes()),  # its port
        ([link(2, Sizes(), master=1, is_up=False)], Sizes(BIG)),
        ([link(2, master=1), link(3, Sizes(), master=2)], Sizes()),
    ],
)
def test_a_link_takes_no_more_than_its_ports(others: list[links.Link], expected: Sizes) -> None:
    assert sizes.wanted([link(1), *others], {4: [1]}) == expected


def test_a_link_takes_no_more_than_what_it_is_upon() -> None:
    assert sizes.wanted([link(1, below=2), link(2, Sizes())], {4: [1]}) == Sizes()
    assert sizes.wanted([link(1, below=2), link(2, below=1)], {4: [1]}) == Sizes(BIG)  # a veth pair
    # Of a link whose other end is elsewhere the same number means another one here.
    assert sizes.wanted([link(1, below=2, space=0), link(2, Sizes())], {4: [1]}) == Sizes(BIG)


@pytest.mark.parametrize(
    ("mtu", "held", "expected"),
    [
        (1500, Sizes(), 1500),
        (1500, Sizes(BIG), 1500),
        (1500, LARGE, 1492),
        (1284, LARGE, 1280),
        (1200, LARGE, 1200),
    ],
)
def test_pieces_of_large_packets_of_ipv6_leave_room_for_what_forwarders_count(
    mtu: int, held: Sizes, expected: int
) -> None:
    assert sizes.mtu_of_ipv6(dataclasses.replace(link(1, held), mtu=mtu)) == expected
