"""Readings of cgroups and what CRI shows of them."""

from pathlib import Path

import pytest

from cri.api import runtime_pb2 as pb
from cri.cgroup.group import Group
from cri.cgroup.hierarchy import Hierarchies
from cri.server import metric_table, metrics, stats_messages, usage
from cri.server.rates import Rates
from cri.snapshots import overlay
from cri.store import records

NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0
  eth0: 90 1 2 3 0 0 0 0 176 4 5 6 0 0 0 0
"""  # noqa: E501


def put(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def test_a_v2_cgroup_is_read(tmp_path: Path) -> None:
    put(
        tmp_path / "pods/c",
        cpu__stat="usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 9\nnr_throttled 4\n",
        memory__current="1000\n",
        memory__stat="anon 600\nfile 300\ninactive_file 250\npgfault 7\npgmajfault 1\n",
        memory__max="max\n",
        memory__events="oom 1\noom_kill 2\n",
        pids__current="3\n",
        pids__max="100\n",
    )
    found = usage.collect(
        Group(Hierarchies(str(tmp_path), frozenset({"cpu", "memory", "pids"}), {}), "pods/c")
    )
    assert (found.cpu.total_ns, found.cpu.throttled_periods, found.processes) == (5000, 4, 3)
    assert (found.memory.working_set, found.memory.rss, found.memory.limit) == (750, 600, 0)
    assert (found.oom_kills, found.threads_max) == (2, 100)


def test_a_v1_cgroup_is_read(tmp_path: Path) -> None:
    v1 = {name: str(tmp_path / name) for name in ("cpu", "cpuacct", "memory", "pids")}
    put(tmp_path / "cpuacct/c", cpuacct__usage="77\n", cpuacct__usage_user="70\n", cpuacct__usage_sys="7\n")
    put(
        tmp_path / "memory/c",
        memory__usage_in_bytes="1000\n",
        memory__stat="cache 1\ntotal_rss 600\ntotal_inactive_file 1250\n",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    )
    found = usage.collect(Group(Hierarchies("", frozenset(), v1), "c"))
    assert (found.cpu.total_ns, found.cpu.user_ns, found.cpu.periods) == (77, 70, 0)
    assert (found.memory.working_set, found.memory.rss, found.memory.limit) == (0, 600, 0)
    assert found.oom_kills == 1


PRESSURE = (
    "some avg10=1.50 avg60=0.25 avg300=0.00 total=3000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n"
)


def test_pressure_is_told_wherever_there_is_a_v2_tree(tmp_path: Path) -> None:
    """CRI counts in nanoseconds, the kernel in microseconds. On a hybrid host it is all the v2 tree tells."""
    put(tmp_path / "c", cpu__pressure=PRESSURE, memory__pressure=PRESSURE, io__pressure=PRESSURE)
    found = usage.collect(Group(Hierarchies(str(tmp_path), frozenset(), {}), "c"), lambda: 5)
    stats = [stats_messages.cpu(found, None), stats_messages.memory(found), stats_messages.io(found)]
    for message in stats:
        assert message is not None
        assert (message.psi.Some.Total, message.psi.Some.Avg10, message.psi.Some.Avg60) == (
            3 * 10**9,
            1.5,
            0.25,
        )
        assert message.psi.Full.Total == 2000


def test_a_kernel_without_pressure_tells_none(tmp_path: Path) -> None:
    for unified in (str(tmp_path), ""):
        found = usage.collect(Group(Hierarchies(unified, frozenset(), {}), "c"))
        assert stats_messages.io(found) is None
        assert not stats_messages.cpu(found, None).HasField("psi")
        assert not stats_messages.memory(found).HasField("psi")


def test_a_cgroup_that_is_gone_reads_as_zeros(tmp_path: Path) -> None:
    found = usage.collect(Group(Hierarchies(str(tmp_path), frozenset({"memory"}), {}), "gone"), lambda: 5)
    assert (found.timestamp, found.cpu.total_ns, found.memory.usage) == (5, 0, 0)


def test_available_memory_is_what_the_limit_leaves() -> None:
    assert usage.Memory(working_set=30, limit=100).available == 70
    assert usage.Memory(working_set=30).available == 0
    reading = usage.Usage(1, usage.Cpu(), usage.Memory(working_set=30), 0, 0, 0)
    assert not stats_messages.memory(reading).HasField("available_bytes")


def test_metrics_name_the_image_as_the_pod_does() -> None:
    """kubelets ask for containers by image id; cAdvisor's label, by which people search, is the name."""
    image = pb.ImageSpec(image="sha256:1", user_specified_image="busybox:1")
    config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name="c"), image=image)
    pod = pb.PodSandboxMetadata(name="p", namespace="n", uid="u")
    record = records.Container(id="1", sandbox_id="2", config=config, image_id="sha256:1")
    sandbox = records.Sandbox(id="2", config=pb.PodSandboxConfig(metadata=pod))
    assert metrics.container_labels(record, sandbox) == ("1", "c_p_n_u_0", "busybox:1", "c", "p", "n")
    image.user_specified_image = ""
    config = pb.ContainerConfig(metadata=config.metadata, image=image)
    record = records.Container(id="1", sandbox_id="2", config=config, image_id="sha256:1")
    assert metrics.container_labels(record, sandbox)[2] == "sha256:1"


def test_network_counters_leave_out_loopback() -> None:
    shown = stats_messages.network(NET_DEV, 1, "eth0")
    assert shown is not None
    assert (shown.default_interface.name, shown.default_interface.rx_bytes.value) == ("eth0", 90)
    assert (shown.default_interface.tx_bytes.value, shown.default_interface.tx_errors.value) == (176, 5)
    assert list(shown.interfaces) == []


@pytest.mark.parametrize("text", ["", NET_DEV.replace("eth0", "net1")])
def test_a_pod_without_the_default_interface_has_no_network_stats(text: str) -> None:
    """A kubelet with PodAndContainerStatsFromCRI dereferences the default interface unseen, and crashes."""
    assert stats_messages.network(text, 1, "eth0") is None


def test_a_rate_needs_two_readings_apart() -> None:
    rates = Rates()
    second = 1_000_000_000
    assert rates.update("c", 0, 0) is None
    assert rates.update("c", second // 10, 1000) is None
    assert rates.update("c", 2 * second, second) == second // 2
    assert rates.update("c", 2 * second + 1, 5 * second) == second // 2
    rates.forget("c")
    assert rates.update("c", 0, 0) is None


def test_metrics_are_named_once_and_give_a_value_a_label() -> None:
    names = [metric.name for metric in metric_table.METRICS]
    assert len(names) == len(set(names))
    assert all(name.startswith("container_") for name in names)
    assert {"container_network_receive_packets_dropped_total", "container_cpu_usage_seconds_total"} <= set(
        names
    )
    assert all(metric.help and metric.label_keys for metric in metric_table.METRICS)


def test_metrics_that_are_measured_when_asked_for_bear_no_time(tmp_path: Path) -> None:
    """CRI's Metric.timestamp: 0 if gathered live; a kubelet shows others with a time of their own."""
    reading = metric_table.Reading(
        usage=usage.collect(Group(Hierarchies(str(tmp_path), frozenset(), {}), "c"), lambda: 5 * 10**9),
        disk=overlay.Usage(0, 0),
        disk_total_bytes=0,
        inodes_total=0,
        inodes_free=0,
        started_at=0,
        resources=pb.LinuxContainerResources(),
        open_files=0,
        sockets=0,
        threads=0,
        io=[],
        network={},
    )
    found = {each.name: each for each in metrics.of_reading(reading, ("id",), is_pod_level=False)}
    assert {each.timestamp for each in found.values()} == {0}
    assert found["container_last_seen"].value.value == 5


def test_available_swap_is_what_its_limit_leaves(tmp_path: Path) -> None:
    """The limit of v1 is that of memory and swap; on v2 none may be had, or as much as there is."""
    v2 = tmp_path / "v2/c"
    put(v2, memory__swap__current="30\n", memory__swap__max="100\n")
    v1 = {"memory": str(tmp_path / "v1")}
    put(
        tmp_path / "v1/c",
        memory__stat="total_swap 30\n",
        memory__limit_in_bytes="1000\n",
        memory__memsw__limit_in_bytes="1100\n",
    )
    group = Group(Hierarchies(str(tmp_path / "v2"), frozenset({"memory"}), {}), "c")
    for read in (group, Group(Hierarchies("", frozenset(), v1), "c")):
        shown = stats_messages.swap(usage.collect(read))
        assert (shown.swap_usage_bytes.value, shown.swap_available_bytes.value) == (30, 70)
    put(v2, memory__swap__max="0\n")
    assert stats_messages.swap(usage.collect(group)).HasField("swap_available_bytes")
    put(v2, memory__swap__max="max\n")
    assert not stats_messages.swap(usage.collect(group)).HasField("swap_available_bytes")
