"""`reset` leaves a host as `up` found it: processes, mounts, links, routes, tables, cgroups, files."""

import json
import re

import pytest

from tests.root.cluster import conftest, host, test_kubectl

pytestmark = pytest.mark.root

# What is compared: one command a kind, its output sorted. Numbers that change by themselves are cut out.
FACTS = {
    "processes": "ps -eo ppid,args --no-headers | grep -v 'ps -eo' | grep -v 'grep -v' | grep -v 'sh -c'",
    "mounts": "cut -d' ' -f5,9- /proc/self/mountinfo",
    "links": "ip -o link | cut -d' ' -f2-3",
    "addresses": "ip -o addr | cut -d' ' -f2-4",
    "routes": "ip route show table all | grep -v 'fe80:\\|^multicast'",
    "rules": "nft list ruleset",
    "namespaces": "ls /run/netns 2>/dev/null; lsns -t net -o NS --noheadings | wc -l",
    "files": "find /etc /var/lib /var/log /run /opt -xdev | grep -v '^/run/demo.tar'",
    "settings": "sysctl -a 2>/dev/null"
    " | grep -E 'ip_forward|route_localnet|rp_filter|send_redirects|bridge-nf|ipv6.*(forwarding|accept_ra )'"
    " | grep -v 'conf\\.nk'",
}


def facts(of: host.Host) -> dict[str, list[str]]:
    found = {
        name: sorted(of.run("sh", "-c", f"{command} || true").stdout.splitlines())
        for name, command in FACTS.items()
    }
    found["cgroups"] = sorted(
        # Others' cgroups end under its feet, of which find complains.
        of.run("find", "/sys/fs/cgroup", "-path", f"*{of.cgroup_root}*", check=False).stdout.splitlines()
    )
    return found


def test_the_host_is_as_it_was(bare_host: host.Host) -> None:
    bare_host.run("nft", "list", "tables")
    before = facts(bare_host)
    bare_host.up()
    conftest.import_demo_image(bare_host)

    made = [test_kubectl.deployment("web"), test_kubectl.service("web", type="NodePort")]
    bare_host.kubectl("apply", "-f", "-", stdin="".join(json.dumps(each) for each in made))
    bare_host.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    assert facts(bare_host) != before
    output = bare_host.nanokube("reset", "--yes")
    assert "nothing of nanokube is left" in output
    after = facts(bare_host)
    for name, lines in before.items():
        assert after[name] == lines, name


def test_down_then_up_resumes(bare_host: host.Host) -> None:

    bare_host.up()
    conftest.import_demo_image(bare_host)
    bare_host.kubectl("apply", "-f", "-", stdin=json.dumps(test_kubectl.deployment("web", replicas=1)))
    bare_host.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    assert "node stopped" in bare_host.nanokube("down")
    assert "was not running" in bare_host.nanokube("down")
    assert not re.search(
        "nanokube|cri", bare_host.run("ps", "-eo", "args", "--no-headers").stdout.replace("ps -eo", "")
    )
    refused = bare_host.nanokube("up", "--pod-cidr", "10.50.0.0/16", check=False)
    assert "cannot change the pod cidr of a cluster from 10.244.0.0/16 to 10.50.0.0/16" in refused
    bare_host.up()
    host.wait_for(
        lambda: bare_host.get("deployment", "web")["status"].get("readyReplicas") == 1, 30, "the Pod again"
    )
    assert "Ready" in bare_host.up(), "up on a running node only says so"


def test_a_busy_port_is_named_before_anything_is_made(bare_host: host.Host) -> None:
    before = facts(bare_host)
    script = "import socket, time; s = socket.socket(); s.bind(('', 6443)); s.listen(); time.sleep(60)"
    with bare_host.running("python3", "-c", script):
        host.wait_for(lambda: "6443" in bare_host.run("ss", "-ltn").stdout, what="the listener")
        output = bare_host.nanokube("up", "--cgroup-root", bare_host.cgroup_root, check=False)
    assert "ports: in use: 6443" in output
    assert "--api-port" in output
    assert facts(bare_host)["files"] == before["files"]


def test_up_twice_at_once_starts_one_node(bare_host: host.Host) -> None:
    command = [str(host.NANOKUBE), "up", "--cgroup-root", bare_host.cgroup_root]
    with bare_host.running(*command) as first, bare_host.running(*command) as second:
        outputs = [each.communicate(timeout=60)[0] for each in (first, second)]
        codes = [first.returncode, second.returncode]
    assert codes == [0, 0], outputs
    # One of them made the credentials; the other found the node there.
    assert sorted("certificates" in each for each in outputs) == [False, True], outputs
    assert bare_host.kubectl("get", "nodes", "--no-headers").count("\n") == 1
