"""Starting the runtimes: each in a mount namespace and on a bridge of its own, with the same image."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from cri.api import runtime_pb2 as pb
from cri.api import transfer_pb2, transfer_pb2_grpc
from scripts.bench.measure import progress
from scripts.bench.measure.account import Account
from scripts.bench.measure.isolate import SOURCE, uninterrupted
from scripts.bench.measure.target import TIMEOUT_S, Target
from tests.root.cri.server import conftest

_PAUSE = "bench.local/pause:1"
_STOP_S = 30
# A private copy of the mounts, whose root is then shared below it, as on a host.
_SHARE = 'for group in {join}; do echo $$ > $group; done; mount --make-rshared /; exec "$@"'
# crun 1.8 refuses hosts whose cgroups are hybrid: hide the v2 tree from it, in its own namespace only.
_HIDE_UNIFIED = "if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified || exit 1; fi; "
_CONTAINERD = """version = 2
root = "{lib}/root"
state = "{run}/state"
[grpc]
  address = "{run}/cri.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{lib}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{certs}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{peer}/usr/lib/cni"
    conf_dir = "{lib}/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{peer}/{binary}"
"""


@contextlib.contextmanager
def nanokube(scratch: Path, certs: Path) -> Iterator[Target]:
    """Start nanokube's runtime."""
    lib, run = _directories(scratch, "nanokube")
    account = Account(f"{scratch.name}/nanokube")
    config = lib / "cri.json"
    config.write_text(json.dumps(_configuration(lib, run, certs, f"{account.path}/pods")))
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "cri", "--config", str(config)]
    with _serving("nanokube", command, environment, lib, run, account) as target:
        _import_ours(target, lib)
        network = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr="10.200.0.0/22"))
        target.call("UpdateRuntimeConfig", pb.UpdateRuntimeConfigRequest(runtime_config=network))
        yield target


@contextlib.contextmanager
def containerd(scratch: Path, certs: Path, peer: Path, binary: str) -> Iterator[Target]:
    """Start a containerd that runs containers by a binary below peer: usr/sbin/runc or usr/bin/crun."""
    name = Path(binary).name
    lib, run = _directories(scratch, name)
    (lib / "net.d").mkdir()
    (lib / "net.d" / "1.conflist").write_text(json.dumps(_network(name, lib)))
    config = lib / "config.toml"
    values = {"lib": lib, "run": run, "certs": certs, "peer": peer, "binary": binary, "pause": _PAUSE}
    config.write_text(_CONTAINERD.format(**values))
    libraries = next((str(path) for path in (peer / "usr/lib").glob("*-linux-gnu")), "")
    path = f"{peer}/usr/bin:{peer}/usr/sbin:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "LD_LIBRARY_PATH": libraries}
    account = Account(f"{scratch.name}/{name}")
    command = [str(peer / "usr/bin/containerd"), "-c", str(config)]
    prepare = _HIDE_UNIFIED if name == "crun" else ""
    with _serving(f"containerd+{name}", command, environment, lib, run, account, prepare) as target:
        _import_theirs(peer, lib, run, environment)
        yield target


@contextlib.contextmanager
def _serving(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    lib: Path,
    run: Path,
    account: Account,
    prepare: str = "",
) -> Iterator[Target]:
    """Run a server until the block ends; Pods that are left are removed first."""
    shell = prepare + _SHARE.format(join=" ".join(account.join))
    with (lib / "log").open("wb") as log:
        server = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", shell, "sh", *command],
            cwd=SOURCE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: the Pods are to be removed first
        )
    parent = f"/{account.path}/pods" if name != "nanokube" else ""
    target = Target(name, run / "cri.sock", lib, account, parent)
    try:
        _await(target, lib / "log")
        yield target
    except Exception:
        progress.show(f"the end of {name}'s log: {(lib / 'log').read_text(errors='replace')[-3000:]}")
        raise
    finally:
        with uninterrupted():
            with contextlib.suppress(grpc.RpcError):
                target.remove_all()
            target.close()
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(_STOP_S)
            account.close()


def _await(target: Target, log: Path) -> None:
    try:
        grpc.channel_ready_future(target.channel).result(timeout=TIMEOUT_S)
    except grpc.FutureTimeoutError as err:
        raise TimeoutError(f"cannot reach {target.name}: {log.read_text()[-4000:]}") from err


def _directories(scratch: Path, name: str) -> tuple[Path, Path]:
    """Return (directory for what outlives a boot, directory for what does not: on tmpfs, as on a host)."""
    lib, run = scratch / name, Path("/run") / scratch.name / name
    lib.mkdir(parents=True)
    run.mkdir(parents=True, mode=0o700)
    return lib, run


def _configuration(lib: Path, run: Path, certs: Path, cgroup: str) -> dict[str, Any]:
    return {
        "socket": str(run / "cri.sock"),
        "run_dir": str(run / "run"),
        "lib_dir": str(lib / "lib"),
        "cgroup_root": cgroup,
        "cni_conf_dir": str(lib / "net.d"),
        "cni_bin_dirs": [str(lib / "bin")],
        "cni_data_dir": str(lib / "cni"),
        "bridge": "nkb-ours",
        "registry_config_dir": str(certs),
    }


def _network(name: str, lib: Path) -> dict[str, Any]:
    """A bridge network as nanokube's own."""
    third = {"runc": 204, "crun": 208}[name]
    ranges = [[{"subnet": f"10.{third}.0.0/22"}]]
    routes = [{"dst": "0.0.0.0/0"}]
    ipam = {"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": str(lib / "leases")}
    bridge = {"type": "bridge", "bridge": f"nkb-{name}", "isGateway": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": f"bench-{name}", "plugins": [bridge, portmap]}


def _import_ours(target: Target, lib: Path) -> None:
    archive = lib / "image.tar"
    conftest.write_image(archive, _busybox())
    stub = transfer_pb2_grpc.TransferStub(target.channel)  # type: ignore[no-untyped-call]
    for _ in stub.Import(transfer_pb2.ImportRequest(path=str(archive)), timeout=TIMEOUT_S):
        pass


def _import_theirs(peer: Path, lib: Path, run: Path, environment: Mapping[str, str]) -> None:
    archive = lib / "image.tar"
    ctr = [str(peer / "usr/bin/ctr"), "-a", str(run / "cri.sock"), "-n", "k8s.io", "images", "import"]
    for reference, command in ((conftest.IMAGE, ["sh"]), (_PAUSE, ["sleep", "2000000"])):
        conftest.write_image(archive, _busybox(), reference, command)
        subprocess.run([*ctr, str(archive)], env=environment, check=True, stdout=subprocess.DEVNULL)


def _busybox() -> Path:
    found = shutil.which("busybox")
    if not found:
        raise SystemExit("cannot measure: busybox is missing")
    return Path(found)
