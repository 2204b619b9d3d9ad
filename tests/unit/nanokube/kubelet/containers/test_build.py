from pathlib import Path
from typing import Any

import pytest

from cri.api import runtime_pb2 as pb
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.containers import build, dns, hosts, resources, security
from nanokube.kubelet.containers.security import SecurityFault

CONFIG = KubeletConfig("n1", "192.0.2.1", Path("/none"))
HOST = dns.Resolver(("9.9.9.9",), ("corp.example",), ("ndots:1",))


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }


def resolver(**spec: Any) -> dns.Resolver:
    return dns.for_pod(pod(**spec), cluster_dns=("10.96.0.10",), cluster_domain="cluster.local", host=HOST)


def test_cluster_first_searches_the_namespace() -> None:
    found = resolver(dnsPolicy="ClusterFirst")
    assert found.servers == ("10.96.0.10",)
    assert found.searches == ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example")
    assert found.options == ("ndots:5",)


@pytest.mark.parametrize(
    ("spec", "servers"),
    [
        ({"dnsPolicy": "Default"}, ("9.9.9.9",)),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, ("9.9.9.9",)),
        ({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, ("10.96.0.10",)),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"]}}, ("1.1.1.1",)),
    ],
)
def test_dns_policies(spec: dict[str, Any], servers: tuple[str, ...]) -> None:
    assert resolver(**spec).servers == servers


def test_dns_config_is_merged() -> None:
    config = {
        "searches": ["x", "cluster.local"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
    }
    found = resolver(dnsConfig=config)
    assert found.searches[-1] == "x"
    assert found.options == ("ndots:2", "rotate")


def test_hosts_name_the_pod_and_its_aliases() -> None:
    text = hosts.content(
        pod(subdomain="db", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["foo", "bar"]}]),
        ["10.244.0.5"],
        "cluster.local",
        "",
    )
    assert text.startswith("# Kubernetes-managed hosts file.\n")
    assert "10.244.0.5\tweb.db.shop.svc.cluster.local\tweb\n" in text
    assert text.endswith("1.2.3.4\tfoo\tbar\n")


def test_host_network_keeps_the_nodes_hosts() -> None:
    text = hosts.content(pod(hostNetwork=True), [], "cluster.local", "127.0.0.1 localhost\n")
    assert text == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    ("limits", "requests", "qos"),
    [
        ({}, {}, "BestEffort"),
        ({"cpu": "1", "memory": "1Gi"}, {}, "Guaranteed"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "500m"}, "Burstable"),
        ({}, {"memory": "1Mi"}, "Burstable"),
    ],
)
def test_quality_of_service(limits: dict[str, str], requests: dict[str, str], qos: str) -> None:
    container = {"name": "c", "resources": {"limits": limits, "requests": requests}}
    assert resources.qos_class(pod(containers=[container])) == qos


def test_the_resources_of_a_pod_count_alone_even_if_there_are_none() -> None:
    container = {"name": "c", "resources": {"requests": {"cpu": "1"}}}
    assert resources.qos_class(pod(containers=[container], resources={})) == "BestEffort"


def test_limits_become_cgroup_numbers() -> None:
    container = {"name": "c", "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}}}
    found = resources.container_resources(pod(containers=[container]), container, 8 << 30)
    assert (found.cpu_quota, found.cpu_period, found.cpu_shares) == (25000, 100000, 256)
    assert found.memory_limit_in_bytes == 64 << 20
    assert found.oom_score_adj == -997
    bare = resources.container_resources(pod(), {"name": "c"}, 8 << 30)
    assert (bare.cpu_quota, bare.cpu_shares, bare.oom_score_adj) == (0, 2, 1000)
    tiny = {"name": "c", "resources": {"limits": {"cpu": "5m"}}}
    assert resources.container_resources(pod(), tiny, 1).cpu_quota == 1000


def test_init_containers_count_as_the_largest_step() -> None:
    def needs(cpu: str, **more: str) -> dict[str, Any]:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **more}

    found = resources.pod_requests(
        pod(
            containers=[needs("1")],
            initContainers=[needs("3"), needs("500m", restartPolicy="Always"), needs("1")],
            overhead={"cpu": "250m"},
        )
    )
    assert float(found["cpu"]) == 3.25


@pytest.mark.parametrize(
    ("context", "image", "message"),
    [
        ({"runAsNonRoot": True}, pb.Image(uid=pb.Int64Value(value=0)), "image will run as root"),
        ({"runAsNonRoot": True}, pb.Image(username="app"), "non-numeric user"),
        ({"runAsNonRoot": True, "runAsUser": 0}, pb.Image(), "breaks non-root policy"),
        ({"runAsUser": 1 << 40}, pb.Image(), "out of range"),
        ({"runAsNonRoot": True, "runAsUser": 5}, pb.Image(), ""),
        ({"runAsNonRoot": True}, pb.Image(uid=pb.Int64Value(value=7)), ""),
        ({}, pb.Image(uid=pb.Int64Value(value=0)), ""),
    ],
)
def test_non_root_is_enforced(context: dict[str, Any], image: pb.Image, message: str) -> None:
    container = {"name": "c", "securityContext": context}
    if not message:
        security.check_non_root(pod(), container, image)
        return
    with pytest.raises(SecurityFault, match=message):
        security.check_non_root(pod(), container, image)


def test_a_container_configuration_is_complete() -> None:
    container = {
        "name": "c",
        "image": "i:1",
        "command": ["run", "$(A)"],
        "args": ["$$(A)"],
        "securityContext": {
            "runAsUser": 5,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "allowPrivilegeEscalation": False,
        },
    }
    found = build.container(
        pod(securityContext={"fsGroup": 9, "supplementalGroups": [8]}),
        container,
        attempt=2,
        image=pb.Image(id="sha256:x"),
        environment={"A": "1"},
        mounts=[
            build.BoundMount("/data", "/host", is_read_only=True),
            build.BoundMount("/own", "/pods/u/volumes/own", is_own=True),
        ],
        termination_file="/t",
        node_memory=1 << 30,
    )
    assert list(found.command) == ["run", "1"]
    assert list(found.args) == ["$(A)"]
    assert found.log_path == "c/2.log"
    assert found.image.image == "sha256:x"
    context = found.linux.security_context
    assert context.run_as_user.value == 5
    assert context.no_new_privs
    assert list(context.supplemental_groups) == [8, 9]
    assert list(context.capabilities.drop_capabilities) == ["ALL"]
    assert "/proc/kcore" in context.masked_paths
    assert found.mounts[0].readonly
    assert [mount.selinux_relabel for mount in found.mounts] == [False, True]  # never the host's own files


def test_a_sandbox_configuration_names_its_places() -> None:
    container = {"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}
    found = build.sandbox(pod(containers=[container], hostname="h"), 1, CONFIG, HOST)
    assert found.hostname == "h"
    assert found.log_directory == "/var/log/pods/shop_web_u1"
    assert found.linux.cgroup_parent == "/nanokube/pods/besteffort/podu1"
    assert [m.host_port for m in found.port_mappings] == [8080]
    assert found.labels["io.kubernetes.pod.uid"] == "u1"


def test_sysctls_written_by_slashes_reach_the_runtime_by_dots() -> None:
    asked = [{"name": "kernel/shm_rmid_forced", "value": "1"}]
    found = build.sandbox(pod(securityContext={"sysctls": asked}), 1, CONFIG, HOST)
    assert dict(found.linux.sysctls) == {"kernel.shm_rmid_forced": "1"}


@pytest.mark.parametrize("place", ["pod", "container"])
def test_a_localhost_seccomp_profile_lies_below_the_nodes_directory(place: str) -> None:
    """A Pod names it relative to that, the runtime takes absolute paths; AppArmor's are no paths."""
    asked = {
        "seccompProfile": {"type": "Localhost", "localhostProfile": "a/b.json"},
        "appArmorProfile": {"type": "Localhost", "localhostProfile": "mine"},
    }
    container = {"name": "c", "image": "i", "securityContext": asked if place == "container" else {}}
    made = security.container_context(
        pod(securityContext=asked if place == "pod" else {}),
        container,
        None,
        seccomp_root="/var/lib/k/seccomp",
    )
    assert made.seccomp.localhost_ref == "/var/lib/k/seccomp/a/b.json"
    assert made.apparmor.localhost_ref == "mine"
