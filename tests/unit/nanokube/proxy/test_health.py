"""What a balancer is told of a node."""

import json

from nanokube.proxy import health


def test_a_node_with_endpoints_is_healthy_and_weighs_what_it_has() -> None:
    status, headers, body = health.answer("default/web", 2)
    assert (status, headers["X-Load-Balancing-Endpoint-Weight"]) == (200, "2")
    assert json.loads(body) == {
        "service": {"namespace": "default", "name": "web"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }


def test_a_node_without_endpoints_is_not() -> None:
    assert health.answer("default/web", 0)[0] == 503
