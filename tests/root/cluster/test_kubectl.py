"""Stock kubectl against a running cluster, as a user would type it."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host

pytestmark = pytest.mark.root

IMAGE = demo_image.REFERENCE


def deployment(name: str, replicas: int = 2, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": IMAGE,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
            **spec,
        },
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": IMAGE, "command": list(command)}
    body = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


@pytest.fixture
def apply(cluster: host.Host) -> Iterator[Any]:
    """Apply objects; delete them after the test."""
    applied: list[str] = []

    def _apply(*objects: dict[str, Any], extra: tuple[str, ...] = ()) -> str:
        text = "".join(json.dumps(each) for each in objects)
        applied.append(text)
        return cluster.kubectl("apply", *extra, "-f", "-", stdin=text)

    yield _apply
    for text in applied:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=true", "-f", "-", stdin=text)


@pytest.fixture
def web(cluster: host.Host, apply: Any) -> str:
    """A Deployment of two ready Pods behind a Service, called web."""
    apply(deployment("web"), service("web"))
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    return "web"


def test_wide_tables_show_what_users_know(cluster: host.Host, web: str) -> None:
    lines = cluster.kubectl("get", "pods", "-A", "-o", "wide").splitlines()
    expected = ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "NODE"]
    assert lines[0].split()[:10] == expected
    mine = next(line for line in lines if f" {web}-" in line)
    assert re.search(rf"default\s+{web}-\S+\s+1/1\s+Running\s+0\s+\d+s\s+10\.244\.0\.\d+\s+alpha", mine)
    assert cluster.kubectl("get", "nodes").splitlines()[1].split()[:2] == ["alpha", "Ready"]
    assert re.search(rf"{web}\s+2/2\s+2\s+2", cluster.kubectl("get", "deployments"))


def test_describe_shows_events_and_conditions(cluster: host.Host, web: str) -> None:
    # By name: of several Pods at once kubectl shows no events.
    name = cluster.get("pods", "-l", f"app={web}")["items"][0]["metadata"]["name"]
    text = cluster.kubectl("describe", "pod", name)
    for part in (
        "Successfully assigned default/web-",
        "Container image",
        "Created",
        "Started",
        "ContainersReady",
    ):
        assert part in text


def test_service_answers_by_address_and_name(cluster: host.Host, web: str) -> None:
    address = cluster.get("service", web)["spec"]["clusterIP"]
    pods = {each["metadata"]["name"] for each in cluster.get("pods", "-l", f"app={web}")["items"]}
    for url in (f"http://{address}", f"http://{web}", f"http://{web}.default.svc.cluster.local"):
        script = f"for i in $(seq 40); do timeout 3 wget -q -O - {url}/ || exit 1; done"
        answers = set(cluster.kubectl("exec", f"deployment/{web}", "--", "sh", "-c", script).split())
        assert answers == pods, url
    from_host = {
        cluster.run("busybox", "wget", "-q", "-O", "-", f"http://{address}/").stdout.strip()
        for _ in range(40)
    }
    assert from_host == pods


def test_node_port_answers_on_the_nodes_address(cluster: host.Host, web: str, apply: Any) -> None:
    apply(
        {**service("web"), "metadata": {"name": "web-np"}}
        | {"spec": {**service("web")["spec"], "type": "NodePort"}}
    )
    port = cluster.get("service", "web-np")["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767

    def fetch() -> bool:
        return cluster.run(
            "busybox", "wget", "-q", "-O", "-", f"http://{host.ADDRESS}:{port}/"
        ).stdout.startswith(web)

    host.wait_for(fetch, what="node port")


def test_logs_follow(cluster: host.Host, apply: Any) -> None:
    apply(pod("talker", "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo err >&2"))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/talker", "--timeout=50s")
    text = cluster.kubectl("logs", "-f", "talker", timeout_s=20)
    assert text.splitlines() == ["line 1", "line 2", "line 3", "err"]
    assert cluster.kubectl("logs", "talker", "--tail=1") == "err\n"
    stamped = cluster.kubectl("logs", "talker", "--timestamps").splitlines()[0]
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z line 1", stamped)


def test_exec_carries_output_codes_and_input(cluster: host.Host, web: str) -> None:
    target = f"deployment/{web}"
    assert cluster.kubectl("exec", target, "--", "echo", "hello") == "hello\n"
    done = cluster.run(
        host.kubectl(), "exec", target, "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False
    )
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "err" in done.stderr
    assert cluster.kubectl("exec", "-i", target, "--", "cat", stdin="through\n") == "through\n"
    big = "x" * 3_000_000
    assert cluster.kubectl("exec", "-i", target, "--", "wc", "-c", stdin=big).strip() == str(len(big))


def test_exec_with_a_terminal(cluster: host.Host, web: str) -> None:
    command = f"{host.kubectl()} exec -it deployment/{web} -- sh"
    done = cluster.run(
        "script", "-qec", command, "/dev/null", stdin="tty; echo $((40 + 2))\nexit 3\n", check=False
    )
    assert "/dev/pts/0" in done.stdout
    assert "42" in done.stdout
    assert done.returncode == 3


def test_port_forward(cluster: host.Host, web: str) -> None:
    with cluster.running(host.kubectl(), "port-forward", f"service/{web}", "18080:80") as process:
        assert process.stdout is not None
        assert "Forwarding from 127.0.0.1:18080" in process.stdout.readline()
        for _attempt in range(5):
            answer = cluster.run("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:18080/").stdout
            assert answer.startswith(web)


def test_scale(cluster: host.Host, web: str) -> None:
    cluster.kubectl("scale", f"deployment/{web}", "--replicas=4")
    cluster.kubectl("rollout", "status", f"deployment/{web}", "--timeout=50s")
    assert len(cluster.get("pods", "-l", f"app={web}")["items"]) == 4
    cluster.kubectl("scale", f"deployment/{web}", "--replicas=1")
    host.wait_for(lambda: len(cluster.get("pods", "-l", f"app={web}")["items"]) == 1, 30, "scale down")


def test_rollout_and_undo(cluster: host.Host, web: str) -> None:
    cluster.kubectl("set", "image", f"deployment/{web}", f"web={IMAGE}-none")
    stuck = host.wait_for(
        lambda: re.search(
            r"ErrImagePull|ImagePullBackOff", cluster.kubectl("get", "pods", "-l", f"app={web}")
        ),
        20,
        "the wrong image's error",
    )
    assert stuck
    ready = [
        line for line in cluster.kubectl("get", "pods", "-l", f"app={web}").splitlines() if "1/1" in line
    ]
    assert len(ready) == 2, "a rolling update keeps the old Pods while the new ones fail"
    assert "rolled back" in cluster.kubectl("rollout", "undo", f"deployment/{web}")
    cluster.kubectl("rollout", "status", f"deployment/{web}", "--timeout=50s")
    assert "REVISION" in cluster.kubectl("rollout", "history", f"deployment/{web}")
    cluster.kubectl("rollout", "restart", f"deployment/{web}")
    cluster.kubectl("rollout", "status", f"deployment/{web}", "--timeout=50s")


def test_explain_and_discovery(cluster: host.Host) -> None:
    text = cluster.kubectl("explain", "deployment.spec.strategy")
    assert "rollingUpdate" in text
    assert "KIND:       Deployment" in text
    assert "containerPort" in cluster.kubectl("explain", "pod", "--recursive")
    assert re.search(r"deployments\s+deploy\s+apps/v1\s+true\s+Deployment", cluster.kubectl("api-resources"))
    assert "v1.36" in cluster.kubectl("version")


def test_diff_and_server_side_apply(cluster: host.Host, web: str, apply: Any) -> None:
    changed = json.dumps(deployment(web, replicas=3))
    done = cluster.run(host.kubectl(), "diff", "-f", "-", stdin=changed, check=False)
    assert done.returncode == 1, done.stderr
    assert re.search(r"^\+\s+replicas: 3", done.stdout, re.MULTILINE)
    assert len(cluster.get("pods", "-l", f"app={web}")["items"]) == 2
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"a": "1"}}
    assert "serverside-applied" in apply(config, extra=("--server-side",))
    assert "serverside-applied" in apply(config | {"data": {"b": "2"}}, extra=("--server-side",))
    assert cluster.get("configmap", "ssa")["data"] == {"b": "2"}


def test_a_list_is_applied_whole(cluster: host.Host) -> None:
    names = ("in-list-a", "in-list-b")
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    assert "configmap/in-list-b created" in cluster.kubectl("apply", "-f", "-", stdin=text)
    assert "configmap/in-list-b unchanged" in cluster.kubectl("apply", "-f", "-", stdin=text)
    cluster.kubectl("delete", "-f", "-", stdin=text)


def test_volumes_and_environment(cluster: host.Host, apply: Any) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"key": "value"},
    }
    tokens = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = f"cat /config/key; echo; echo $FROM_MAP $POD_IP; cat /shared/note; ls {tokens}"
    made = pod("reader", "sh", "-c", script)
    made["spec"]["initContainers"] = [
        {
            "name": "writer",
            "image": IMAGE,
            "command": ["sh", "-c", "echo from-init > /shared/note"],
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        }
    ]
    made["spec"]["volumes"] = [
        {"name": "config", "configMap": {"name": "settings"}},
        {"name": "shared", "emptyDir": {}},
    ]
    made["spec"]["containers"][0] |= {
        "env": [
            {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "key"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "volumeMounts": [
            {"name": "config", "mountPath": "/config"},
            {"name": "shared", "mountPath": "/shared"},
        ],
    }
    apply(config, made)
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=50s")
    lines = cluster.kubectl("logs", "reader").splitlines()
    assert lines[0] == "value"
    assert re.fullmatch(r"value 10\.244\.0\.\d+", lines[1])
    assert lines[2:] == ["from-init", "ca.crt", "namespace", "token"]


def test_a_failing_container_backs_off(cluster: host.Host, apply: Any) -> None:
    apply(pod("crasher", "sh", "-c", "echo dying; exit 3", restartPolicy="Always"))
    host.wait_for(
        lambda: "CrashLoopBackOff" in cluster.kubectl("get", "pod", "crasher"), 30, "CrashLoopBackOff"
    )
    status = cluster.get("pod", "crasher")["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["restartCount"] >= 1


def test_memory_limit_ends_in_oomkilled(cluster: host.Host, apply: Any) -> None:
    made = pod("hungry", "sh", "-c", "tail /dev/zero")
    made["spec"]["containers"][0]["resources"] = {"limits": {"memory": "32Mi"}}
    apply(made)
    host.wait_for(lambda: "OOMKilled" in cluster.kubectl("get", "pod", "hungry"), 30, "OOMKilled")


def test_deleting_a_namespace_deletes_what_is_in_it(cluster: host.Host) -> None:
    cluster.kubectl("create", "namespace", "gone")
    cluster.kubectl("-n", "gone", "apply", "-f", "-", stdin=json.dumps(deployment("web")))
    cluster.kubectl("-n", "gone", "rollout", "status", "deployment/web", "--timeout=50s")
    cluster.kubectl("delete", "namespace", "gone", "--wait=true", "--timeout=50s")
    assert cluster.get("pods", "-A", "-l", "app=web")["items"] == []


def test_deleting_a_deployment_deletes_its_pods(cluster: host.Host) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(deployment("shortlived")))
    cluster.kubectl("rollout", "status", "deployment/shortlived", "--timeout=50s")
    cluster.kubectl(
        "delete", "deployment", "shortlived", "--cascade=foreground", "--wait=true", "--timeout=50s"
    )
    assert cluster.get("pods", "-l", "app=shortlived")["items"] == []
    assert cluster.get("replicasets", "-l", "app=shortlived")["items"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"spec": {"replicas": 1, "replicsa": 2}}, 'unknown field "spec.replicsa"'),
        ({"metadata": {"name": "Not_Valid"}}, 'metadata.name: Invalid value: "Not_Valid"'),
        ({"spec": {"replicas": -1}}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"spec": {"replicas": "two"}}, "replicas"),
    ],
)
def test_bad_objects_are_refused_as_on_any_cluster(
    cluster: host.Host, body: dict[str, Any], message: str
) -> None:
    made = deployment("bad")
    for key, value in body.items():
        made[key] = {**made[key], **value}
    assert message in cluster.kubectl_fails("apply", "--validate=strict", "-f", "-", stdin=json.dumps(made))


def test_a_conflict_is_told(cluster: host.Host, web: str) -> None:
    stale = cluster.get("deployment", web)
    cluster.kubectl("annotate", "deployment", web, f"touched={time.time()}")
    stale["metadata"]["resourceVersion"] = "1"
    error = cluster.kubectl_fails("replace", "-f", "-", stdin=json.dumps(stale))
    assert (
        "the object has been modified; please apply your changes to the latest version and try again" in error
    )


def test_a_taken_address_is_refused(cluster: host.Host, apply: Any) -> None:
    apply(service("first", clusterIP="10.96.200.1"))
    error = cluster.kubectl_fails(
        "create", "-f", "-", stdin=json.dumps(service("second", clusterIP="10.96.200.1"))
    )
    assert "provided IP is already allocated" in error
    outside = cluster.kubectl_fails(
        "create", "-f", "-", stdin=json.dumps(service("third", clusterIP="10.99.0.1"))
    )
    assert "the provided network does not match the current range" in outside


def test_anonymous_requests_get_health_and_version_only(cluster: host.Host) -> None:
    def status_of(path: str) -> str:
        script = (
            "import ssl, sys, urllib.request, urllib.error\n"
            "context = ssl.create_default_context(cafile='/etc/nanokube/pki/ca.crt')\n"
            f"try: print(urllib.request.urlopen('https://127.0.0.1:6443{path}', context=context).status)\n"
            "except urllib.error.HTTPError as err: print(err.code)\n"
        )
        return cluster.run("python3", "-c", script).stdout.strip()

    assert [status_of(path) for path in ("/version", "/readyz", "/livez", "/healthz")] == ["200"] * 4
    assert [status_of(path) for path in ("/api/v1/pods", "/apis", "/metrics")] == ["403"] * 3


def test_a_deleted_pod_leaves_no_cgroup(cluster: host.Host, apply: Any) -> None:
    apply(pod("leaver", "sleep", "60"))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/leaver", "--timeout=50s")
    uid = cluster.get("pod", "leaver")["metadata"]["uid"]

    def groups() -> str:
        # Others' cgroups end under its feet, of which find complains.
        return cluster.run("find", "/sys/fs/cgroup", "-name", f"pod{uid}", check=False).stdout

    assert groups()
    cluster.kubectl("delete", "pod", "leaver", "--wait=true", "--timeout=50s")
    host.wait_for(lambda: not groups(), 25, "removal of the Pod's cgroups")


def test_a_kubelet_shows_its_metrics_to_whoever_may_see_them(cluster: host.Host) -> None:
    """As metrics-server and Prometheus ask: by a ServiceAccount's token, at the node's own port."""
    for args in (
        ("serviceaccount", "scraper"),
        ("clusterrole", "scraper", "--verb=get", "--resource=nodes/metrics"),
        ("clusterrolebinding", "scraper", "--clusterrole=scraper", "--serviceaccount=default:scraper"),
    ):
        cluster.kubectl("create", *args)
    token = cluster.kubectl("create", "token", "scraper").strip()

    def status_of(path: str, token: str) -> str:
        script = (
            "import ssl, urllib.request, urllib.error\n"
            "context = ssl._create_unverified_context()\n"
            f"asked = urllib.request.Request('https://127.0.0.1:10250{path}')\n"
            "asked.add_header('Authorization', 'Bearer %s')\n"
            "try: print(urllib.request.urlopen(asked, context=context).status)\n"
            "except urllib.error.HTTPError as err: print(err.code)\n"
        )
        return cluster.run("python3", "-c", script % token).stdout.strip()

    try:
        host.wait_for(lambda: status_of("/metrics/resource", token) == "200", 35, "the right to read metrics")
        found = [status_of(path, token) for path in ("/metrics", "/stats/summary", "/pods", "/logs/")]
        assert found == ["200", "403", "403", "403"]
        assert status_of("/metrics", token[:-3] + "AAA") == "401"
    finally:
        cluster.kubectl(
            "delete", "serviceaccount/scraper", "clusterrole/scraper", "clusterrolebinding/scraper"
        )
