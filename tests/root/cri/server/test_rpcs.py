"""What a kubelet asks for beside a Pod's life: streamed lists, use, limits, logs, ports, namespaces."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from tests.root.cri.server import lab
from tests.root.cri.server.conftest import IMAGE, PATIENCE_S, Node, wait_for
from tests.root.cri.server.test_streams import stream

pytestmark = pytest.mark.root

SLEEP = "exec sleep 1000"


@pytest.fixture
def pod(node: Node, request: pytest.FixtureRequest) -> Iterator[tuple[str, pb.PodSandboxConfig]]:
    made = node.sandbox(request.node.name.replace("_", "-").partition("[")[0][-50:])
    yield made
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=made[0]), timeout=PATIENCE_S)


def linux(**changes: Any) -> pb.LinuxContainerConfig:
    options = changes.pop("options", pb.NamespaceOption(pid=pb.CONTAINER))
    security = pb.LinuxContainerSecurityContext(namespace_options=options, **changes)
    return pb.LinuxContainerConfig(security_context=security)


def test_streamed_lists_say_what_the_lists_say(node: Node, pod: tuple[str, pb.PodSandboxConfig]) -> None:
    identity = node.container(pod, "main", SLEEP)
    other = node.sandbox("another")
    call, images = node.runtime, node.image
    pods = call.ListPodSandbox(pb.ListPodSandboxRequest()).items
    assert {each.id for each in pods} >= {pod[0], other[0]}
    streamed = call.StreamPodSandboxes(pb.StreamPodSandboxesRequest())
    assert [each for answer in streamed for each in answer.pod_sandboxes] == list(pods)
    one = pb.PodSandboxFilter(id=pod[0])
    streamed = call.StreamPodSandboxes(pb.StreamPodSandboxesRequest(filter=one))
    assert [each.id for answer in streamed for each in answer.pod_sandboxes] == [pod[0]]
    containers = call.ListContainers(pb.ListContainersRequest()).containers
    streamed = call.StreamContainers(pb.StreamContainersRequest())
    assert [each for answer in streamed for each in answer.containers] == list(containers)
    assert identity in {each.id for each in containers}
    listed = images.ListImages(pb.ListImagesRequest()).images
    streamed = images.StreamImages(pb.StreamImagesRequest())
    assert [each for answer in streamed for each in answer.images] == list(listed)
    assert IMAGE in {tag for each in listed for tag in each.repo_tags}
    stats = call.ListContainerStats(pb.ListContainerStatsRequest()).stats
    found = call.StreamContainerStats(pb.StreamContainerStatsRequest())
    names = [each.attributes.id for answer in found for each in answer.container_stats]
    assert names == [each.attributes.id for each in stats] == [identity]
    of_pods = call.ListPodSandboxStats(pb.ListPodSandboxStatsRequest()).stats
    found = call.StreamPodSandboxStats(pb.StreamPodSandboxStatsRequest())
    names = [each.attributes.id for answer in found for each in answer.pod_sandbox_stats]
    assert names == [each.attributes.id for each in of_pods]
    metrics = call.ListPodSandboxMetrics(pb.ListPodSandboxMetricsRequest()).pod_metrics
    found = call.StreamPodSandboxMetrics(pb.StreamPodSandboxMetricsRequest())
    names = [each.pod_sandbox_id for answer in found for each in answer.pod_sandbox_metrics]
    assert names == [each.pod_sandbox_id for each in metrics]
    assert set(names) >= {pod[0], other[0]}
    call.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=other[0]), timeout=PATIENCE_S)


def test_metrics_are_those_that_were_described(node: Node, pod: tuple[str, pb.PodSandboxConfig]) -> None:
    identity = node.container(pod, "main", SLEEP)
    described = node.runtime.ListMetricDescriptors(pb.ListMetricDescriptorsRequest()).descriptors
    keys = {each.name: len(each.label_keys) for each in described}
    assert len(keys) == len(described)
    answer = node.runtime.ListPodSandboxMetrics(pb.ListPodSandboxMetricsRequest()).pod_metrics
    of_pod = next(each for each in answer if each.pod_sandbox_id == pod[0])
    of_container = next(each for each in of_pod.container_metrics if each.container_id == identity)
    for metric in (*of_pod.metrics, *of_container.metrics):
        assert len(metric.label_values) == keys[metric.name], metric.name
        assert metric.timestamp == 0  # measured when asked for
    values = {metric.name: metric.value.value for metric in of_container.metrics}
    assert values["container_memory_working_set_bytes"] > 0
    assert values["container_processes"] == 1


def test_use_is_told(node: Node, pod: tuple[str, pb.PodSandboxConfig]) -> None:
    identity = node.container(pod, "main", f"head -c 2000000 /dev/zero > /tmp/file; {SLEEP}")
    wait_for(lambda: node.execute(identity, "stat -c %s /tmp/file").stdout == b"2000000\n")
    stats = node.runtime.ContainerStats(pb.ContainerStatsRequest(container_id=identity)).stats
    assert stats.cpu.usage_core_nano_seconds.value > 0
    assert stats.memory.working_set_bytes.value > 0
    assert stats.writable_layer.used_bytes.value >= 2_000_000
    of_pod = node.runtime.PodSandboxStats(pb.PodSandboxStatsRequest(pod_sandbox_id=pod[0])).stats
    assert of_pod.linux.process.process_count.value == 1
    assert [each.attributes.id for each in of_pod.linux.containers] == [identity]
    assert of_pod.linux.network.default_interface.name == "eth0"


def test_limits_change(node: Node, pod: tuple[str, pb.PodSandboxConfig]) -> None:
    identity = node.container(pod, "main", SLEEP)
    wanted = pb.LinuxContainerResources(memory_limit_in_bytes=64 << 20, cpu_shares=512)
    node.runtime.UpdateContainerResources(
        pb.UpdateContainerResourcesRequest(container_id=identity, linux=wanted)
    )
    told = node.status(identity).resources.linux
    assert (told.memory_limit_in_bytes, told.cpu_shares) == (64 << 20, 512)
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
    assert node.execute(identity, limit).stdout == b"67108864\n"
    of_pod = pb.LinuxContainerResources(memory_limit_in_bytes=96 << 20)
    node.runtime.UpdatePodSandboxResources(
        pb.UpdatePodSandboxResourcesRequest(pod_sandbox_id=pod[0], resources=of_pod)
    )
    shown = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod[0], verbose=True))
    assert str(96 << 20) in shown.info["info"]


def test_a_rotated_log_is_reopened(node: Node, pod: tuple[str, pb.PodSandboxConfig]) -> None:
    identity = node.container(pod, "main", "while read line; do echo $line; done", stdin=True)
    path = Path(pod[1].log_directory) / "main/0.log"
    wait_for(path.exists)
    path.rename(f"{path}.old")
    node.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=identity))
    assert path.exists()
    node.runtime.StopContainer(pb.StopContainerRequest(container_id=identity), timeout=PATIENCE_S)
    with pytest.raises(grpc.RpcError) as caught:
        node.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=identity))
    assert lab.code_of(caught.value) is grpc.StatusCode.FAILED_PRECONDITION


def test_a_port_of_the_pods_own_loopback_is_forwarded(
    node: Node, pod: tuple[str, pb.PodSandboxConfig]
) -> None:
    script = "echo found > /tmp/index.html; exec httpd -f -p 127.0.0.1:80 -h /tmp"
    identity = node.container(pod, "web", script)
    wait_for(lambda: b"found" in node.execute(identity, "wget -q -O - http://127.0.0.1/").stdout)
    url = node.runtime.PortForward(pb.PortForwardRequest(pod_sandbox_id=pod[0], port=[80])).url
    answer = stream(node, url, "GET /index.html HTTP/1.0\r\n\r\n")
    assert answer["0"].startswith("P\0")  # its number comes first
    assert answer["0"].endswith("found\n")


def test_the_runtime_says_what_it_is(node: Node) -> None:
    version = node.runtime.Version(pb.VersionRequest())
    assert (version.runtime_name, version.runtime_api_version) == ("nanokube-cri", "v1")
    status = node.runtime.Status(pb.StatusRequest(verbose=True))
    assert {each.type: each.status for each in status.status.conditions} == {
        "RuntimeReady": True,
        "NetworkReady": True,
    }
    assert json.loads(status.info["config"])
    disk = node.image.ImageFsInfo(pb.ImageFsInfoRequest())
    assert disk.image_filesystems[0].inodes_used.value > 0
    for each in (*disk.image_filesystems, *disk.container_filesystems):
        assert os.path.isdir(each.fs_id.mountpoint)


@pytest.mark.parametrize("kind", ["net", "ipc", "pid"])
def test_the_nodes_namespaces_are_given_to_who_asks(node: Node, kind: str) -> None:
    options = pb.NamespaceOption(pid=pb.CONTAINER)
    setattr(options, {"net": "network"}.get(kind, kind), pb.NODE)
    security = pb.LinuxSandboxSecurityContext(namespace_options=options)
    pod = node.sandbox(f"node-{kind}", linux=pb.LinuxPodSandboxConfig(security_context=security))
    identity = node.container(pod, "main", SLEEP, linux=linux(options=options))
    shown = "for n in net ipc pid; do readlink /proc/self/ns/$n; done"
    found = node.execute(identity, shown).stdout.decode().split()
    daemon = [os.readlink(f"/proc/{node.server_pid()}/ns/{each}") for each in ("net", "ipc", "pid")]
    same = [inside == outside for inside, outside in zip(found, daemon, strict=True)]
    assert same == [each == kind for each in ("net", "ipc", "pid")]
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_a_targets_processes_are_seen_and_no_others(node: Node, pod: tuple[str, pb.PodSandboxConfig]) -> None:
    target = node.container(pod, "main", "exec sleep 1234")
    node.container(pod, "other", "exec sleep 4321")
    options = pb.NamespaceOption(pid=pb.TARGET, target_id=target)
    looker = node.container(pod, "debugger", SLEEP, linux=linux(options=options))
    seen = node.execute(looker, "ps").stdout.decode()
    assert "sleep 1234" in seen
    assert "sleep 4321" not in seen


def test_groups_of_the_image_are_left_out_where_the_policy_is_strict(
    node: Node, pod: tuple[str, pb.PodSandboxConfig]
) -> None:
    for policy, groups in ((pb.Merge, {65534, 100, 77}), (pb.Strict, {65534, 77})):
        asked = linux(run_as_username="nobody", supplemental_groups=[77], supplemental_groups_policy=policy)
        identity = node.container(pod, f"main-{policy}", SLEEP, linux=asked)
        found = node.execute(identity, "id -G").stdout.split()
        assert set(map(int, found)) == groups
        assert set(node.status(identity).user.linux.supplemental_groups) == groups


def test_a_profile_of_the_nodes_files_is_obeyed(
    node: Node, pod: tuple[str, pb.PodSandboxConfig], tmp_path: Path
) -> None:
    profile = tmp_path / "no-sync.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    for kind, path, denied in (
        (pb.SecurityProfile.Localhost, str(profile), True),
        (pb.SecurityProfile.Unconfined, "", False),
    ):
        asked = linux(seccomp=pb.SecurityProfile(profile_type=kind, localhost_ref=path))
        identity = node.container(pod, f"main-{kind}", SLEEP, linux=asked)
        assert (node.execute(identity, "mkdir /tmp/made").exit_code != 0) is denied
    asked = linux(
        seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="/no/such")
    )
    with pytest.raises(grpc.RpcError) as caught:
        node.container(pod, "none", SLEEP, linux=asked)
    assert lab.code_of(caught.value) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.skipif(Path("/sys/module/apparmor").exists(), reason="the kernel has AppArmor")
def test_a_confinement_that_the_kernel_lacks_is_refused(
    node: Node, pod: tuple[str, pb.PodSandboxConfig]
) -> None:
    profile = pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="some-profile")
    for asked in (linux(apparmor=profile), linux(selinux_options=pb.SELinuxOption(type="some_t"))):
        with pytest.raises(grpc.RpcError) as caught:
            node.container(pod, "main", SLEEP, linux=asked)
        assert lab.code_of(caught.value) is grpc.StatusCode.INVALID_ARGUMENT
    node.container(pod, "main", SLEEP, linux=linux())
