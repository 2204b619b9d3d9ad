"""Stock crictl and a stock kubelet on this runtime, as README.md says; skipped where the binaries are not.

CRICTL and KUBELET name them, else they are looked for in PATH.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cri.api import runtime_pb2 as pb
from tests.root.cri.server.conftest import IMAGE, PATIENCE_S, SOURCE, Node, wait_for

pytestmark = pytest.mark.root

README = SOURCE / "cri" / "README.md"
# What a kubelet wants of the kernel it sets on the whole machine: here it finds it set. Private, since a user
# namespace may mount /proc only where none of it is covered. Some of its places below /var are fixed.
_HIDE = """
mount --make-rprivate /proc
set_flag() { echo $2 > $1.flag; mount --bind $1.flag /proc/sys/$3; }
set_flag $1/a 10 kernel/panic; set_flag $1/b 1 kernel/panic_on_oops; set_flag $1/c 1 vm/overcommit_memory
mkdir $1/var; mount -t tmpfs tmpfs $1/var; mkdir $1/var/up $1/var/work
mount -t overlay -o lowerdir=/var,upperdir=$1/var/up,workdir=$1/var/work overlay /var
shift; exec "$@"
"""


def binary(name: str) -> str:
    found = os.environ.get(name.upper()) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing")
    return found


def inside(node: Node) -> list[str]:
    return [
        "nsenter",
        "-t",
        str(node.keeper.pid),
        "--mount",
        "--net",
        "--uts",
        "env",
        "-C",
        str(node.directory),
    ]


@pytest.fixture
def crictl(node: Node) -> Any:
    """Run crictl in the node's namespaces and return its standard output."""
    tool = binary("crictl")
    socket = f"unix://{node.directory}/cri.sock"
    command = [*inside(node), tool, "--config", "/dev/null", "-r", socket, "-i", socket, "-t", "20s"]

    def run(*arguments: str, stdin: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout + (done.stderr if code else "")

    return run


@pytest.fixture
def box(node: Node, crictl: Any) -> Iterator[tuple[str, str]]:
    """A sandbox and a container in it that counts, made by crictl."""
    metadata = {"name": "box", "namespace": "default", "uid": "box", "attempt": 0}
    pod = {"metadata": metadata, "log_directory": str(node.directory / "logs" / "box"), "linux": {}}
    script = "i=0; while :; do echo line $i; i=$((i + 1)); sleep 0.1; done"
    container = {
        "metadata": {"name": "sh"},
        "image": {"image": IMAGE},
        "command": ["sh", "-c", script],
        "log_path": "sh.log",
        "linux": {},
    }
    for name, config in (("pod", pod), ("container", container)):
        (node.directory / f"{name}.json").write_text(json.dumps(config))
    sandbox = crictl("runp", "pod.json").strip()
    made = crictl("create", sandbox, "container.json", "pod.json").strip()
    crictl("start", made)
    yield sandbox, made
    crictl("stopp", sandbox)
    crictl("rmp", sandbox)


def test_crictl_shows_what_there_is(crictl: Any, box: tuple[str, str]) -> None:
    sandbox, container = box
    assert "RuntimeReady" in crictl("info")
    assert "nanokube" in crictl("version")
    assert sandbox[:13] in crictl("pods")
    assert container[:13] in crictl("ps")
    assert IMAGE.split(":")[0] in crictl("images")
    assert json.loads(crictl("imagefsinfo"))["status"]["imageFilesystems"]
    assert container[:13] in crictl("stats", "-a")
    assert json.loads(crictl("statsp", "-o", "json"))["stats"][0]["attributes"]["id"] == sandbox
    assert sandbox in crictl("metricsp")
    shown = json.loads(crictl("inspect", container))
    assert shown["status"]["state"] == "CONTAINER_RUNNING"
    assert shown["info"]["pid"] > 0
    assert shown["info"]["runtimeSpec"]["process"]["args"][:2] == ["sh", "-c"]
    assert shown["info"]["config"]["log_path"] == "sh.log"
    spec = json.loads(crictl("inspectp", sandbox))["info"]["runtimeSpec"]
    net = next(each["path"] for each in spec["linux"]["namespaces"] if each["type"] == "network")
    assert sandbox in net
    assert json.loads(crictl("inspecti", IMAGE))["status"]["repoTags"] == [IMAGE]


def test_crictl_executes_and_reads_logs(crictl: Any, box: tuple[str, str]) -> None:
    _, container = box
    for options in (["-s"], ["--transport", "spdy"], ["--transport", "websocket"]):
        assert crictl("exec", *options, container, "echo", "out").strip() == "out"
    for transport in ("spdy", "websocket"):
        options = ["-i", "--transport", transport]
        assert crictl("exec", *options, container, "cat", stdin="in\n") == "in\n"
        assert "exit code 5" in crictl(
            "exec", "--transport", transport, container, "sh", "-c", "exit 5", code=1
        )
    wait_for(lambda: len(crictl("logs", container).splitlines()) > 3)
    assert re.fullmatch(r"line \d+\n", crictl("logs", "--tail", "1", container))
    assert "T" in crictl("logs", "--timestamps", "--tail", "1", container).split()[0]


def test_crictl_changes_and_removes(node: Node, crictl: Any, box: tuple[str, str]) -> None:
    _, container = box
    crictl("update", "--memory", "100000000", "--cpu-share", "512", container)
    resources = json.loads(crictl("inspect", container))["status"]["resources"]["linux"]
    assert (resources["memoryLimitInBytes"], resources["cpuShares"]) == ("100000000", "512")
    refusal = crictl("checkpoint", "--export", str(node.directory / "x"), container, code=1)
    assert "cannot checkpoint" in refusal
    crictl("stop", "--timeout", "0", container)
    assert container[:13] not in crictl("ps")
    assert container[:13] in crictl("ps", "-a", "--state", "exited")
    crictl("rm", container)
    assert container[:13] not in crictl("ps", "-a")


def test_crictl_runs_in_one_go(node: Node, crictl: Any, box: tuple[str, str]) -> None:
    pod = json.loads((node.directory / "pod.json").read_text())
    pod["metadata"] |= {"name": "once", "uid": "once"}
    (node.directory / "once.json").write_text(json.dumps(pod))
    made = crictl("run", "--no-pull", "container.json", "once.json").strip()
    assert made[:13] in crictl("ps")
    sandbox = crictl("pods", "--name", "once", "-q").strip()
    assert sandbox != box[0]
    crictl("rmp", "-f", sandbox)
    assert made[:13] not in crictl("ps", "-a")


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default", "uid": "static-web"},
    "spec": {
        "terminationGracePeriodSeconds": 3,
        "containers": [
            {
                "name": "serve",
                "image": IMAGE,
                "command": ["sh", "-c", "mkdir /www; echo ok > /www/i; httpd -f -p 8080 -h /www & wait"],
                "startupProbe": {"exec": {"command": ["test", "-e", "/www/i"]}, "periodSeconds": 1},
                "readinessProbe": {"httpGet": {"path": "/i", "port": 8080}, "periodSeconds": 1},
                "livenessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            },
            {
                "name": "sick",
                "image": IMAGE,
                "command": ["sh", "-c", "trap 'echo bye > /dev/termination-log; exit 3' TERM; "
                            "while :; do sleep 0.1; done"],
                "livenessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2},
            },
        ],
    },
}  # fmt: skip


@contextlib.contextmanager
def kubelet(node: Node, directory: Path) -> Iterator[None]:
    """A kubelet with README's configuration, its places and cgroups below the test's own."""
    tool = binary("kubelet")
    text = re.search(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    assert text is not None
    root = f"{node.name}-kubelet"
    config = yaml.safe_load(text[1]) | {
        "containerRuntimeEndpoint": f"unix://{node.directory}/cri.sock",
        "staticPodPath": str(directory / "manifests"),
        "cgroupRoot": f"/{root}",
        "podLogsDir": str(directory / "logs"),
        "volumePluginDir": str(directory / "plugins"),
        "readOnlyPort": 10255,
        "fileCheckFrequency": "1s",
        "evictionHard": {"memory.available": "1Mi"},
    }
    (directory / "manifests").mkdir(parents=True)
    (directory / "kubelet.yaml").write_text(json.dumps(config))
    groups = _make_cgroups(root)
    places = [f"--{name}={directory / name}" for name in ("root-dir", "cert-dir")]
    command = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", _HIDE, "sh", str(directory)]
    command += [
        tool,
        f"--config={directory}/kubelet.yaml",
        *places,
        "--hostname-override=n",
        "--node-ip=192.0.2.9",
    ]
    links = "ip link add eth0 type bridge; ip addr add 192.0.2.9/24 dev eth0; ip link set eth0 up"
    subprocess.run([*inside(node), "sh", "-c", f"{links}; ip route add default via 192.0.2.1"], check=True)
    with (directory / "kubelet.log").open("wb") as log:
        process = subprocess.Popen([*inside(node), *command], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
        subprocess.run([*inside(node), "ip", "link", "del", "eth0"], check=False)
        for group in groups:
            wait_for(lambda group=group: _remove(group))  # type: ignore[misc]


def _make_cgroups(root: str) -> list[Path]:
    """Make a kubelet's root in every hierarchy, which it expects to be there."""
    base = Path("/sys/fs/cgroup")
    hierarchies = [base] if (base / "cgroup.procs").exists() else [d for d in base.iterdir() if d.is_dir()]
    made = [hierarchy / root for hierarchy in hierarchies if not hierarchy.is_symlink()]
    for group in made:
        group.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if group.parent.name == "cpuset":
                (group / name).write_text((group.parent / name).read_text())
    return made


def _remove(group: Path) -> bool:
    for path, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not group.exists()


def test_a_stock_kubelet_runs_a_static_pod_with_probes(node: Node, tmp_path: Path) -> None:
    with kubelet(node, tmp_path):
        manifest = tmp_path / "manifests" / "web.json"
        (tmp_path / "web").write_text(json.dumps(POD))
        (tmp_path / "web").rename(manifest)

        def statuses() -> dict[str, Any]:
            ask = [*inside(node), "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:10255/pods"]
            answer = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
            items = json.loads(answer)["items"] if answer else []
            return {
                s["name"]: s for item in items or () for s in item["status"].get("containerStatuses") or ()
            }

        def is_serving() -> bool:
            return bool(statuses().get("serve", {}).get("ready"))

        def is_restarted() -> bool:
            return int(statuses().get("sick", {}).get("restartCount", 0)) > 0

        wait_for(is_serving, 60)
        wait_for(is_restarted, 60)
        ended = statuses()["sick"]["lastState"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (3, "bye\n")
        assert statuses()["serve"]["restartCount"] == 0
        manifest.unlink()
        wait_for(lambda: not _containers(node), 60)
    log = (tmp_path / "kubelet.log").read_text()
    assert "Unimplemented" not in log
    _remove_sandboxes(node)


def _containers(node: Node) -> list[Any]:
    running = pb.ContainerFilter(label_selector={"io.kubernetes.pod.uid": "static-web"})
    return list(node.runtime.ListContainers(pb.ListContainersRequest(filter=running), timeout=10).containers)


def _remove_sandboxes(node: Node) -> None:
    for sandbox in node.runtime.ListPodSandbox(pb.ListPodSandboxRequest(), timeout=10).items:
        node.runtime.RemovePodSandbox(
            pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox.id), timeout=PATIENCE_S
        )
