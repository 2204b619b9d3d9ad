"""What cannot work ends in the words that a Kubernetes user knows, and leaves nothing behind."""

import json

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import conftest, host, test_kubectl

pytestmark = pytest.mark.root


def test_a_missing_image_is_named(cluster: host.Host) -> None:
    made = test_kubectl.pod("nowhere", "true")
    made["spec"]["containers"][0]["image"] = "127.0.0.1:9/none:1"
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    try:
        host.wait_for(lambda: "ImagePullBackOff" in cluster.kubectl("get", "pod", "nowhere"), 30, "back-off")
        events = cluster.kubectl("get", "events", "--field-selector", "involvedObject.name=nowhere")
        assert 'Failed to pull image "127.0.0.1:9/none:1"' in events
        assert 'Back-off pulling image "127.0.0.1:9/none:1"' in events
    finally:
        cluster.kubectl("delete", "pod", "nowhere", "--wait=true")


def test_an_image_of_another_architecture_is_refused(cluster: host.Host) -> None:
    build = (
        "import pathlib, platform; platform.machine = lambda: 'riscv64'\n"
        "from nanokube.cli import demo_image\n"
        "demo_image.build(pathlib.Path('/run/foreign.tar'))"
    )
    cluster.run(str(host.NANOKUBE.with_name("python")), "-c", build)
    output = cluster.nanokube("image", "import", "/run/foreign.tar", check=False)
    assert "no match for platform" in output
    assert "riscv64" in output
    assert "Traceback" not in output
    repository = demo_image.REFERENCE.rpartition(":")[0]
    assert repository in cluster.nanokube("image", "ls"), "the image that was there is still there"


def test_a_full_range_of_pod_addresses_is_named_and_passes(bare_host: host.Host) -> None:
    bare_host.up("--pod-cidr", "10.244.0.0/29")
    conftest.import_demo_image(bare_host)
    bare_host.kubectl("apply", "-f", "-", stdin=json.dumps(test_kubectl.deployment("crowd", replicas=7)))

    def running() -> int:
        lines = bare_host.kubectl("get", "pods", "--no-headers").splitlines()
        return sum(" Running " in line for line in lines)

    host.wait_for(lambda: running() == 5, 30, "as many Pods as addresses")

    def told() -> bool:
        events = bare_host.kubectl("get", "events", "--field-selector", "reason=FailedCreatePodSandBox")
        return "no IP addresses available in range set: 10.244.0.1-10.244.0.6" in events

    host.wait_for(told, what="an event that names the range")
    assert bare_host.run("sh", "-c", "ip route | grep -c 'dev nk.* proto 109 '").stdout.strip() == "5"
    bare_host.kubectl("scale", "deployment/crowd", "--replicas=5")
    bare_host.kubectl("rollout", "status", "deployment/crowd", "--timeout=60s")
