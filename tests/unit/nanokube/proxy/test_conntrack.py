"""Which UDP flows are forgotten when a Service changes."""

import socket

import pytest

from nanokube.proxy import conntrack
from nanokube.proxy.forwards import Endpoint, Forward, Forwards

ONE, TWO = Endpoint("10.244.0.2", 53), Endpoint("10.244.1.2", 53)


def forwards(*endpoints: Endpoint, protocol: str = "udp") -> Forwards:
    return Forwards(
        (
            Forward("10.96.0.10", 4, protocol, 53, endpoints),
            Forward("", 4, protocol, 30053, endpoints),
        )
    )


def flow(target: str, port: int, answerer: Endpoint) -> conntrack.Flow:
    return conntrack.Flow(socket.AF_INET, "10.244.0.9", 5000, target, port, answerer)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (forwards(ONE), forwards(ONE, TWO), False),
        (forwards(ONE, TWO), forwards(ONE), True),
        (Forwards(), forwards(ONE), True),
        (forwards(ONE, protocol="tcp"), forwards(protocol="tcp"), False),
    ],
)
def test_only_lost_endpoints_and_new_addresses_leave_stale_flows(
    before: Forwards, after: Forwards, expected: bool
) -> None:
    assert conntrack.needs_flush(before, after) is expected


def test_flows_to_what_left_are_stale_and_others_are_not() -> None:
    is_stale = conntrack.stale(forwards(ONE, TWO), forwards(TWO))
    assert is_stale(flow("10.96.0.10", 53, ONE))
    assert not is_stale(flow("10.96.0.10", 53, TWO))
    assert is_stale(flow("192.0.2.10", 30053, ONE))
    assert not is_stale(flow("192.0.2.10", 30053, Endpoint("192.0.2.10", 30053))), "nobody translated it"
    assert not is_stale(flow("10.96.0.11", 53, ONE))


def test_a_flow_older_than_the_service_is_stale() -> None:
    is_stale = conntrack.stale(Forwards(), forwards(ONE))
    assert is_stale(flow("10.96.0.10", 53, Endpoint("10.96.0.10", 53)))
