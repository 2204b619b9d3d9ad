"""What a check finds on this host, where the answer is sure."""

import pytest

from nanokube.roles import checks
from nanokube.roles import config as node_config


@pytest.mark.parametrize(("address", "is_ok"), [("127.0.0.1", True), ("203.0.113.77", False)])
def test_a_node_address_must_be_one_of_the_host(address: str, is_ok: bool) -> None:
    results = checks.run_all(node_config.NodeConfig("n", address))
    found = next(each for each in results if each.name == "node address")
    assert found.is_ok is is_ok
    assert address in found.found
