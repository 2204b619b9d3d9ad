"""Putting the server together and running it until it is told to stop."""

import faulthandler
import gc
import logging
import os
import signal
import socket
import threading
from pathlib import Path

from cri.cgroup import hierarchy
from cri.config import Config
from cri.images import transfer
from cri.images.service import Config as ImageConfig
from cri.images.service import ImageService
from cri.linux import malloc
from cri.network import spares
from cri.network.attach import Network
from cri.network.worker import NetworkWorker
from cri.rpc.server import Server
from cri.runtime.client import RuntimeClient
from cri.server import observe, pod_labels, recovery, service
from cri.server.backend import RuntimeBackend
from cri.server.environment import Environment
from cri.server.events import EventBus
from cri.snapshots.overlay import Snapshots
from cri.store.store import Store
from cri.streaming.server import StreamingServer

log = logging.getLogger(__name__)

_GRACE_S = 2.0
# Kept for calls that answer at once: a kubelet whose Status hangs says that its node is not ready.
_SHORT_THREADS = 16
_GC_OBJECTS = 10_000  # new objects between two looks for cycles; Python's own 700 costs 4 % of our time
# Each of 20 threads would have a heap of its own, and each heap keeps the most it ever held.
_HEAPS = 2
# Above the pieces that layers come in, 1 MB; below the table of interned strings, 2 MB, which moves now and
# then: a heap would keep its old place.
_MAPPED_BYTES = (1 << 20) + (64 << 10)
# Two or three of those pieces, freed and asked for again all through a pull.
_KEPT_BYTES = 4 << 20


def assemble(config: Config) -> Environment:
    """Make the parts of a server; nothing is started but the network threads. Raises OSError."""
    for directory in (config.run_dir, config.lib_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(config.run_dir)
    client = RuntimeClient(config.run_dir)
    images = ImageService(
        config.images_dir,
        ImageConfig(
            certs_d=config.registry_config_dir,
            insecure=frozenset(config.insecure_registries),
            pinned=frozenset(config.pinned_images),
        ),
    )
    worker = NetworkWorker()
    backend = RuntimeBackend(store, client, worker)
    return Environment(
        config=config,
        store=store,
        client=client,
        images=images,
        snapshots=Snapshots(config.snapshots_dir, images),
        network=Network(config.cni_conf_dir, config.cni_bin_dirs),
        worker=worker,
        events=EventBus(),
        streaming=StreamingServer(backend, address=config.stream_address, port=config.stream_port),
        hierarchies=hierarchy.detect(),
        spares=spares.of(worker, config.spare_namespaces),
    )


def run(config: Config, stopping: threading.Event | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until stopping is set; containers go on without us.

    Blocks. Call from the main thread. Raises OSError when the socket cannot be made.
    """
    stop = stopping or threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    faulthandler.register(signal.SIGUSR1)  # what each thread waits for, to the log
    malloc.limit_arenas(_HEAPS)
    malloc.map_from(_MAPPED_BYTES)
    malloc.keep_free(_KEPT_BYTES)
    env = assemble(config)
    recovery.run(env)
    pod_labels.label_layers(env)
    env.streaming.start()
    watching = observe.start(env)
    env.spares.start()
    lengthy_max = max(1, config.max_workers - _SHORT_THREADS)
    server = Server(config.max_workers, service.LENGTHY, lengthy_max)
    service.register(server, env)
    transfer.register(server, env.images)
    bind(server, config.socket)
    _settle()
    server.start()
    log.info("serving socket=%s pid=%d", config.socket, os.getpid())
    while not stop.wait(3600):
        pass
    log.info("stopping")
    env.events.close()
    watching.set()
    server.stop(_GRACE_S)
    env.streaming.stop()
    env.spares.close()
    env.worker.close()
    env.client.close()
    config.socket.unlink(missing_ok=True)


def _settle() -> None:
    """Keep the collector off what lives as long as the process, and off the way of most calls."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS)


def bind(server: Server, path: Path) -> None:
    """Listen on a Unix socket that only root may reach; a stale one is replaced.

    Raises OSError if the path is taken by a server that answers.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _answers(path):
        raise OSError(98, "address in use by a running server", str(path))
    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        server.listen(path)
    finally:
        os.umask(mask)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
