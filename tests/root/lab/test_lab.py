"""A lab comes up, is broken, healed, and leaves nothing; a worker's death is survived by its Pods."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nanokube.cli import demo_image
from nanokube.lab import control, faults, place, scenario
from tests.root.cluster import host
from tests.root.lab import conftest

pytestmark = pytest.mark.root

SCENARIOS = Path(__file__).parent / "scenarios"


def facts(home: Path) -> dict[str, list[str]]:
    """What a lab could leave on this machine, which others use at the same time."""
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return {
        "processes": [line for line in processes.splitlines() if str(home) in line],
        "mounts": [line for line in mounts.splitlines() if str(home) in line],
        "cgroups": cgroups(),
        "links": sorted(os.listdir("/sys/class/net")),
        "tables": rules.splitlines(),
        "files": sorted(str(each) for each in home.rglob("*")),
    }


def cgroups() -> list[str]:
    """Return the cgroups of labs of tests. os.walk passes over what ends under its feet, glob fails at it."""
    found = os.walk(control.CGROUPS)
    return sorted(
        f"{top}/{name}" for top, names, _files in found for name in names if name.startswith("nklab_t")
    )


def reaches(lab: place.Lab, node: str, other: str) -> bool:
    """Tell whether a node gets an answer from another: that nothing listens there is one."""
    address = lab.node(other).address
    script = f"import socket; socket.create_connection(('{address}', 1), 0.5)"
    done = control.run(lab, node, ["python3", "-c", script], check=False)
    return "ConnectionRefusedError" in done.stderr


def delay_is_felt_or_refused(lab: place.Lab) -> None:
    refused = ""
    try:
        faults.inject(lab, faults.given(lab, {}, "w2", delay_ms=300))
    except place.LabError as err:
        refused = str(err)
    host.wait_for(lambda: reaches(lab, "w2", "s1"), what="s1")
    began = time.monotonic()
    assert reaches(lab, "w2", "s1")
    assert "no netem" in refused if refused else time.monotonic() - began > 0.3


def test_faults_come_and_go_and_nothing_stays(tmp_path: Path) -> None:
    before = facts(tmp_path)
    with conftest.lab(tmp_path, servers=1, workers=2, bare=True) as lab:
        assert facts(tmp_path) != before
        names = {control.run(lab, node.name, ["hostname"]).stdout.strip() for node in lab.nodes}
        assert names == {"s1", "w1", "w2"}
        host.wait_for(lambda: reaches(lab, "w1", "s1"), what="s1")

        faults.inject(lab, faults.cut(lab, {}, ["w1"], ["s1"]))
        assert not reaches(lab, "w1", "s1")
        assert not reaches(lab, "s1", "w1")
        host.wait_for(lambda: reaches(lab, "w1", "w2"), what="w2")

        control.run(lab, "w1", ["sh", "-c", "echo kept > /etc/kept; echo gone > /run/gone"])
        control.power(lab, "w1", on=False)
        with pytest.raises(place.LabError, match="w1 is off"):
            control.run(lab, "w1", ["true"])
        control.power(lab, "w1", on=True)
        faults.restore(lab, "w1")
        assert control.run(lab, "w1", ["cat", "/etc/kept"]).stdout == "kept\n"
        assert control.run(lab, "w1", ["cat", "/run/gone"], check=False).returncode == 1
        assert not reaches(lab, "w1", "s1"), "a partition outlives a restart"
        faults.inject(lab, faults.healed(lab, place.load_faults(lab)))
        host.wait_for(lambda: reaches(lab, "w1", "s1"), what="s1")  # ARP asks once a second

        faults.inject(lab, faults.given(lab, {}, "w1", loss_percent=100, clock_s=-3600))
        assert not reaches(lab, "w1", "s1")
        assert control.run(lab, "w1", ["cat", "/run/nanokube-lab-clock"]).stdout == "-3600\n"
        delay_is_felt_or_refused(lab)
    assert facts(tmp_path) == before


def test_a_lab_whose_hub_was_killed_leaves_nothing(tmp_path: Path) -> None:
    before = facts(tmp_path)
    with conftest.lab(tmp_path, servers=1, workers=1, bare=True) as lab:
        with subprocess.Popen([*control.enter(lab, "w1"), "sleep", "1000"]) as sleeping:
            os.kill(place.read(lab.directory).hub, signal.SIGKILL)
            assert sleeping.wait(5) != 0, "it ended with its node"
        (lab.directory / "lab.json").unlink()
    assert facts(tmp_path) == before


def test_pods_of_a_dead_worker_run_elsewhere(tmp_path: Path) -> None:
    before = facts(tmp_path / "labs")
    image = tmp_path / "demo.tar"
    demo_image.build(image)
    sooner = ["--node-monitor-grace-period", "15"]
    with conftest.lab(tmp_path / "labs", servers=1, workers=2, options=sooner) as lab:
        for name in ("w1", "w2"):
            control.nanokube(lab, name, "image", "import", str(image))
        read = scenario.read(SCENARIOS / "worker-dies.yaml")
        for told in scenario.run(lab, Path(host.kubectl()), read):
            print(told)
    assert facts(tmp_path / "labs") == before


@pytest.mark.parametrize("ip_family", ["ipv6", "dual"])
def test_nodes_of_ipv6_make_a_cluster(tmp_path: Path, ip_family: str) -> None:
    before = facts(tmp_path)
    with conftest.lab(tmp_path, servers=1, workers=1, ip_family=ip_family) as lab:
        shape = "{range .items[*]}{.status.addresses[?(@.type=='InternalIP')].address} {end}"
        command = [host.kubectl(), "get", "nodes", "-o", f"jsonpath={shape}"]
        told = control.run(lab, "s1", command).stdout.split()
        assert told == [address for node in lab.nodes for address in node.addresses]
        routes = control.run(lab, "w1", ["ip", "-6", "route"]).stdout
        assert f"fd00:10:244::/64 via {lab.node('s1').addresses[-1]} " in routes
    assert facts(tmp_path) == before


def test_a_host_whose_clock_is_wrong_is_told_so_and_joins_when_it_is_right(tmp_path: Path) -> None:
    with conftest.lab(tmp_path, servers=1, workers=1) as lab:
        control.nanokube(lab, "w1", "reset", "--yes")
        line = control.nanokube(lab, "s1", "token", "create").split()[3:]
        for seconds, side in ((3600, "ahead of"), (-3600, "behind")):
            faults.inject(lab, faults.given(lab, {}, "w1", clock_s=seconds))
            with pytest.raises(place.LabError, match=f"clock is 60 minutes {side} the server's"):
                control.nanokube(lab, "w1", "join", *line)
            assert control.run(lab, "w1", ["ls", "/etc/nanokube"], check=False).returncode
        faults.inject(lab, {})
        assert "is Ready" in control.nanokube(lab, "w1", "join", *line)
