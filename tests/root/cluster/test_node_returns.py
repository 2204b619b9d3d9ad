"""A Node that was removed comes back with another range, because its former one was given away meanwhile."""

import json
from pathlib import Path

import pytest

from tests.root.cluster import conftest, host, test_join
from tests.root.cluster import test_network_nodes as network

pytestmark = pytest.mark.root


def test_pods_follow_the_new_range_of_their_node(tmp_path: Path) -> None:
    with (
        host.lan() as lan,
        host.new(tmp_path / "server", "server", on=lan) as server,
        host.new(tmp_path / "worker", "worker", test_join.WORKER, lan) as worker,
    ):
        server.up()
        test_join.join(worker, test_join.line(server))
        conftest.import_demo_image(worker)
        network.apply(server, network.pod("there", "worker"))
        server.kubectl("wait", "--for=condition=Ready", "pod/there", "--timeout=60s")
        server.kubectl("delete", "node", "worker")
        heir = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "heir"}}
        server.kubectl("apply", "-f", "-", stdin=json.dumps(heir))
        host.wait_for(lambda: server.get("node", "heir")["spec"].get("podCIDR"), what="the heir's range")
        worker.nanokube("down", "--keep-pods")
        worker.nanokube("up")
        assert server.get("node", "worker")["spec"]["podCIDR"] == "10.244.2.0/24"

        def answers() -> bool:
            ip = server.get("pod", "there")["status"].get("podIP", "")
            return ip.startswith("10.244.2.") and network.ask_from_host(server, f"{ip}:8080")[0] == "there"

        host.wait_for(answers, 30, "the Pod at an address of the new range")
        assert "10.244.1." not in worker.run("ip", "address").stdout, "it would hide the heir's Pods"
