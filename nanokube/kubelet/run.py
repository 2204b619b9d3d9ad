"""The kubelet's entry: wires its parts and runs them until cancelled."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Never

from nanokube.api import errors, resources
from nanokube.client import events, informer
from nanokube.client.interface import ApiClient
from nanokube.kit import addresses, clock, tasks, tls
from nanokube.kubelet import local_storage, log_rotation, pod_cgroups, user_namespaces
from nanokube.kubelet.agent import Agent
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.containers import dns
from nanokube.kubelet.cri_client import CriClient
from nanokube.kubelet.host import KubeletHost
from nanokube.kubelet.images import Images
from nanokube.kubelet.node import certificates as node_certificates
from nanokube.kubelet.node import shutdown
from nanokube.kubelet.node.register import NodeReporter
from nanokube.kubelet.pod_worker.env import Attached, Env, at_once
from nanokube.kubelet.references import References
from nanokube.kubelet.runtime import FaultKind, Runtime, RuntimeFault
from nanokube.kubelet.server import run as server
from nanokube.kubelet.server.reviews import Reviews
from nanokube.kubelet.status.manager import StatusManager
from nanokube.kubelet.volumes.manager import Volumes
from nanokube.kubelet.volumes.mounter import LinuxMounter, Mounter

__all__ = ["KubeletConfig", "run"]

log = logging.getLogger(__name__)

RETRY_S = 1.0
RANGE_WAIT_S = 10.0  # a cluster without its controllers gives none, and Pods on the host network need none
LOG_CHECK_S = 10.0


async def run(
    config: KubeletConfig,
    client: ApiClient,
    ready: Callable[[], None] | None = None,
    attached: Attached = at_once,
) -> Never:
    """Run one node's Pods until cancelled.

    ready: called once, when the Node is registered, the runtime answers and the server listens.
    attached: as of Env.
    """
    primary = addresses.family(config.first_ip)
    async with CriClient(config.cri_socket, primary) as runtime:
        groups, host = pod_cgroups.hierarchies(), _host(config)
        mounter = LinuxMounter()
        await run_with(config, client, runtime, mounter, ready, cgroups=groups, host=host, attached=attached)
    raise AssertionError("unreachable")


async def run_with(
    config: KubeletConfig,
    client: ApiClient,
    runtime: Runtime,
    mounter: Mounter,
    ready: Callable[[], None] | None = None,
    time: clock.Clock = clock.SYSTEM,
    cgroups: Sequence[Path] = (),
    host: shutdown.Host | None = None,
    attached: Attached = at_once,
) -> Never:
    """Run on a given runtime, mount table, cgroup hierarchies and host: the seam that tests use."""
    await asyncio.to_thread(_make_directories, config)
    recorder = events.EventRecorder(client, "kubelet", host=config.node_name, time=time)
    reporter = NodeReporter(config, client, runtime, recorder, time)
    pods = informer.Informer(
        client, resources.get("pods"), field_selector=f"spec.nodeName={config.node_name}"
    )
    services = informer.Informer(client, resources.get("services"))
    nodes = informer.Informer(
        client, resources.get("nodes"), field_selector=f"metadata.name={config.node_name}"
    )
    env = _env(config, client, runtime, mounter, recorder, reporter, services, time, cgroups)
    env = dataclasses.replace(env, attached=attached)
    await asyncio.to_thread(env.user_namespaces.adopt, env.volumes.known())
    agent = Agent(env, pods, lambda: nodes.get(config.node_name) or reporter.node)
    nodes.subscribe(reporter.follow)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        group.create_task(env.statuses.run())
        await reporter.register()
        if config.pod_cidr:
            await _set_pod_cidr(runtime, reporter.pod_cidr())
        for each in (nodes, services, pods):
            group.create_task(each.run())
        await informer.wait_synced(nodes, services)
        if not config.pod_cidr:
            taken = group.create_task(_take_pod_cidr(runtime, reporter), name="pod range")
            # The runtime may know a former range, if the Node was removed: Pods wait for the one that counts.
            await asyncio.wait([taken], timeout=RANGE_WAIT_S)
        group.create_task(agent.run())
        group.create_task(reporter.run())
        group.create_task(
            tasks.every(LOG_CHECK_S, lambda: _rotate(agent, config, runtime), name="log rotation")
        )
        storage = local_storage.LocalStorage(config, runtime, recorder, lambda: list(agent.workers.values()))
        group.create_task(tasks.every(local_storage.CHECK_S, storage.check, name="local storage"))
        if host is not None:
            group.create_task(_shutdown(config, host, agent, reporter, recorder).run(), name="shutdown")
        if certificates := _certificates(config, client, time):
            await certificates.ensure()
            group.create_task(certificates.run(), name="certificates")
        reviews = Reviews(client, config.node_name, time)
        await _serve(group, config, KubeletHost(env, agent, reporter), reviews)
        recorder.event(reporter.reference(), "Normal", "Starting", "Starting kubelet.")
        log.info("kubelet ready: node=%s", config.node_name)
        if ready is not None:
            ready()
        await asyncio.Event().wait()
    raise AssertionError("unreachable")


def _host(config: KubeletConfig) -> shutdown.Host | None:
    """Return who tells of the host's shutdown, if Pods get time then."""
    if not config.shutdown_grace_s:
        return None
    from nanokube.kubelet.node import logind  # most nodes need no D-Bus

    return logind.Logind()


def _shutdown(
    config: KubeletConfig,
    host: shutdown.Host,
    agent: Agent,
    reporter: NodeReporter,
    recorder: events.Recorder,
) -> shutdown.Shutdown:
    return shutdown.Shutdown(
        config,
        host,
        workers=lambda: list(agent.workers.values()),
        close=agent.close,
        say=reporter.set_obstacle,
        tell=lambda text: recorder.event(reporter.reference(), "Normal", "NodeShutdown", text),
    )


def _env(
    config: KubeletConfig,
    client: ApiClient,
    runtime: Runtime,
    mounter: Mounter,
    recorder: events.Recorder,
    reporter: NodeReporter,
    services: informer.Informer,
    time: clock.Clock,
    cgroups: Sequence[Path],
) -> Env:
    references = References(client, time)
    allocatable = reporter.allocatable()
    return Env(
        config=config,
        client=client,
        runtime=runtime,
        images=Images(runtime, references, recorder, time),
        references=references,
        volumes=Volumes(config, references, mounter, allocatable, lambda: _labels(reporter.node)),
        statuses=StatusManager(client),
        recorder=recorder,
        services=services.list,
        host_resolver=lambda: _host_resolver(config.resolv_conf),
        allocatable=allocatable,
        node_memory=reporter.facts.memory_bytes,
        user_namespaces=user_namespaces.UserNamespaces(config.root / "pods", user_namespaces.host_pool),
        cgroups=cgroups,
        is_unified=pod_cgroups.is_unified(cgroups),
        clock=time,
    )


def _labels(node: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = node["metadata"].get("labels") or {}
    return found


def _make_directories(config: KubeletConfig) -> None:
    """Make the kubelet's places; what Pods keep there is nobody else's to see."""
    config.root.mkdir(parents=True, exist_ok=True, mode=0o750)
    (config.root / "pods").mkdir(exist_ok=True, mode=0o750)
    config.pod_logs.mkdir(parents=True, exist_ok=True, mode=0o755)


def _host_resolver(path: Path) -> dns.Resolver:
    try:
        return dns.parse(path.read_text())
    except OSError:
        return dns.Resolver()


async def _set_pod_cidr(runtime: Runtime, cidr: str) -> None:
    """Tell the runtime its range, once it answers."""
    while cidr:
        try:
            await runtime.set_pod_cidr(cidr)
            return
        except RuntimeFault as fault:
            if fault.kind is FaultKind.UNIMPLEMENTED:
                return
            log.warning("runtime not configured: error=%s", fault.message)
        await asyncio.sleep(RETRY_S)


async def _take_pod_cidr(runtime: Runtime, reporter: NodeReporter) -> None:
    """Wait for the range that the cluster gives the node; only with it can the node be Ready."""
    await _set_pod_cidr(runtime, await reporter.assigned_pod_cidr())
    with contextlib.suppress(errors.ApiError, OSError):  # the next look reports it
        await reporter.report()


async def _rotate(agent: Agent, config: KubeletConfig, runtime: Runtime) -> None:
    containers = [c for worker in list(agent.workers.values()) for c in worker.view.containers]
    await log_rotation.rotate(config, runtime, containers)


async def _serve(
    group: asyncio.TaskGroup, config: KubeletConfig, host: KubeletHost, reviews: Reviews
) -> None:
    """Start the HTTPS server and wait until it listens; without a certificate there is none."""
    if config.server_cert is None or config.server_key is None or config.client_ca is None:
        log.warning("kubelet serves nothing: no certificate configured")
        return
    context = server.tls_context(config.server_cert, config.server_key, config.client_ca)
    listening: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    group.create_task(server.run(host, reviews, config.address, config.port, context, listening.set_result))
    group.create_task(tls.follow(context, config.server_cert, config.server_key), name="serving certificate")
    await listening


def _certificates(
    config: KubeletConfig, client: ApiClient, time: clock.Clock
) -> node_certificates.NodeCertificates | None:
    """Return the keeper of the kubelet's own certificates, if it is to keep them."""
    if config.client_certificate is None or config.server_cert is None:
        return None
    return node_certificates.NodeCertificates(
        client, config.node_name, config.node_ip, config.client_certificate, config.server_cert, time
    )
