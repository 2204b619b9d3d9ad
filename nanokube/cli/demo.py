"""`nanokube demo`: a Deployment behind a Service, fetched from the host and from a Pod by stock kubectl."""

import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import click
from dnslib import DNSRecord

from nanokube.cli import demo_image, errors, kubectl, phases, settings
from nanokube.kit import addresses
from nanokube.roles import config as node_config
from nanokube.roles import node

MANIFEST = Path(__file__).with_name("demo.yaml")
NAMESPACE = "demo"
REPLICAS = 2
FETCHES = 30
TIMEOUT_S = 5


@click.command()
@click.option("--delete", is_flag=True, help="Remove the demonstration instead.")
def demo(delete: bool) -> None:
    """Run two Pods behind a Service and fetch it by its ClusterIP and by its DNS name."""
    errors.require_root("demo")
    config = settings.saved()
    if node.running_pid(config.paths) is None:
        raise errors.failure("this host's node does not run", "run `sudo nanokube up`")
    if delete:
        with phases.phase("remove the demonstration"):
            _kubectl(config, "delete", "-f", str(MANIFEST), "--wait=true", "--ignore-not-found")
        return
    with phases.phase("demo image"):
        _import_image(config)
    with phases.phase("demo Deployment"):
        _kubectl(config, "apply", "-f", str(MANIFEST))
        _kubectl(config, "-n", NAMESPACE, "rollout", "status", "deployment/web", "--timeout=60s")
    address = _kubectl(config, "-n", NAMESPACE, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    name = f"web.{NAMESPACE}.svc.{config.cluster_domain}"
    with phases.phase("demo answers"):
        answers = {
            f"host -> http://{address}": _from_host(address),
            f"host -> http://{name}": _from_host(_resolve(name, config.dns_ip)),
            f"Pod  -> http://{address}": _from_pod(config, f"http://{address}/"),
            f"Pod  -> http://{name}": _from_pod(config, f"http://{name}/"),
        }
    for route, pods in answers.items():
        click.echo(f"  {route:<44} {', '.join(sorted(pods))}")
    click.echo(_kubectl(config, "-n", NAMESPACE, "get", "deployment,service,pod", "-o", "wide"))
    click.echo("remove it with: sudo nanokube demo --delete")


def _import_image(config: node_config.NodeConfig) -> None:
    import grpc

    from cri.api import transfer_pb2, transfer_pb2_grpc

    with tempfile.TemporaryDirectory(prefix="nanokube-demo-") as scratch:
        archive = Path(scratch) / "demo.tar"
        try:
            demo_image.build(archive)
        except (OSError, ValueError, subprocess.CalledProcessError) as err:
            raise errors.failure(
                f"cannot build the demo image: {err}", "apt-get install busybox-static"
            ) from err
        with grpc.insecure_channel(f"unix://{config.paths.cri_socket}") as channel:
            stub = transfer_pb2_grpc.TransferStub(channel)  # type: ignore[no-untyped-call]
            try:
                for _progress in stub.Import(transfer_pb2.ImportRequest(path=str(archive)), timeout=60):
                    pass
            except grpc.RpcError as err:
                raise errors.failure(f"cannot import the demo image: {err.details()}") from err


def _kubectl(config: node_config.NodeConfig, *arguments: str) -> str:
    command = [str(kubectl.find()), *arguments]
    environment = {**os.environ, "KUBECONFIG": str(config.paths.admin_kubeconfig)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise errors.failure(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}", "nanokube status")
    return done.stdout


def _from_host(address: str) -> set[str]:
    """Fetch the Service until every replica answered, or often enough to know that one does not."""
    pods, url = set[str](), f"http://{addresses.bracketed(address)}/"
    for _attempt in range(FETCHES):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
                pods.add(response.read().decode().strip())
        except (urllib.error.URLError, OSError) as err:
            raise errors.failure(f"no answer from {url}: {err}", "nanokube doctor") from err
        if len(pods) == REPLICAS:
            break
    return pods


def _resolve(name: str, server: str) -> str:
    """Ask the cluster's DNS, as a Pod would."""
    try:
        is_ipv6 = ":" in server
        question = DNSRecord.question(name, "AAAA" if is_ipv6 else "A")
        reply = DNSRecord.parse(question.send(server, ipv6=is_ipv6, timeout=TIMEOUT_S))
    except OSError as err:
        raise errors.failure(f"no answer from DNS server {server}: {err}", "nanokube status") from err
    if not reply.rr:
        raise errors.failure(f"cluster DNS does not know {name}")
    return str(reply.rr[0].rdata)


def _from_pod(config: node_config.NodeConfig, url: str) -> set[str]:
    # Not `wget -T`: the option crashes in the busybox of Debian 12.
    script = f"for i in $(seq {FETCHES}); do timeout {TIMEOUT_S} wget -q -O - {url} || exit 1; done"
    output = _kubectl(config, "-n", NAMESPACE, "exec", "deployment/web", "--", "sh", "-c", script)
    return set(output.split())
