"""The etcd beside a server: the operating system's program, with certificates of our own, as a component.

    up --etcd      ensure_program, ensure_credentials; the launcher then runs `main`
    a new server   joined() on it, with the etcd authority in place; promote() once it runs;
                   keep_voting() later, should the join be broken off before
    reset          leave()

Its authority vouches for etcd alone: who has a certificate of it may read and write everything.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Never

from nanokube.kit import addresses, clock, pki, tasks
from nanokube.roles import bootstrap, systemd
from nanokube.roles import config as node_config
from nanokube.storage.etcd import members, settings
from nanokube.storage.etcd import store as etcd_store
from nanokube.storage.store import StoreError

log = logging.getLogger(__name__)

PROGRAM = "etcd"
PACKAGE = "etcd-server"  # Debian 12 and later, Ubuntu 24.04 and later
QUOTA_BYTES = 8 * 1024**3  # the most that etcd advises; its default of 2 GiB is met by large clusters
LEAVE_S = 10.0
AGAIN_S = 0.5
START_S = 60.0  # a slow, busy host takes a part of it


class EtcdError(RuntimeError):
    """etcd cannot be used; the message says why, hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def ensure_program() -> bool:
    """Install etcd from the operating system's packages, if it is not there; tell whether it was not.

    The package's own service is not left running. Blocks. Raises EtcdError.
    """
    if shutil.which(PROGRAM) is not None:
        return False
    if shutil.which("apt-get") is None:
        raise EtcdError(
            f"cannot install etcd: no apt-get here; install a package that has `{PROGRAM}` by hand"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", PACKAGE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True, check=False)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or shutil.which(PROGRAM) is None:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise EtcdError(f"cannot install {PACKAGE}: {''.join(last) or 'apt-get failed'}")
    if systemd.is_running():
        subprocess.run(["systemctl", "disable", "--now", "etcd"], capture_output=True, check=False)
    return True


def ensure_credentials(
    config: node_config.NodeConfig, now: datetime.datetime, *, renew: Collection[str] = ()
) -> list[str]:
    """Make what is missing or soon to expire of etcd's certificates, and those of renew; return their names.

    etcd and the API server take up renewed ones by themselves. The authority is kept, and shared by all
    servers. Raises CredentialError for a damaged authority, OSError.
    """
    directory = config.paths.pki / "etcd"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: list[str] = []
    authority = bootstrap.ensure_authority(directory, "etcd-ca", now, made, renew="etcd/ca" in renew)
    made = [f"etcd/{name}" for name in made]
    names = ("localhost", "127.0.0.1", config.node_name, *config.node_ips)
    for name, subject in {
        "server": pki.Subject(config.node_name, names=tuple(dict.fromkeys(names))),
        "peer": pki.Subject(config.node_name, names=tuple(dict.fromkeys(names))),
        "client": pki.Subject("kube-apiserver-etcd-client"),
    }.items():
        if bootstrap.ensure_pair(directory, name, subject, authority, now, renew=f"etcd/{name}" in renew):
            made.append(f"etcd/{name}")
    return made


async def keep_credentials(config: node_config.NodeConfig, time: clock.Clock = clock.SYSTEM) -> Never:
    """Renew etcd's certificates long before their end, until cancelled."""

    async def look() -> None:
        now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        for name in await asyncio.to_thread(ensure_credentials, config, now):
            log.info("credential renewed: name=%s", name)

    await tasks.every(bootstrap.RENEWAL_CHECK_S, look, name="etcd credentials")


def main(config: node_config.NodeConfig) -> Never:
    """Become etcd."""
    config.paths.etcd.mkdir(mode=0o700, parents=True, exist_ok=True)
    program = shutil.which(PROGRAM)
    if program is None:
        raise EtcdError(f"cannot run etcd: it is gone; install {PACKAGE}")
    os.execv(program, [PROGRAM, *arguments(config)])


def arguments(config: node_config.NodeConfig) -> list[str]:
    """Return etcd's command line on this node. Pure."""
    pki_files = config.paths.pki / "etcd"
    client, peer = client_url(config), peer_url(config)
    local = f"https://127.0.0.1:{config.etcd_client_port}"
    options = {
        "name": config.node_name,
        "data-dir": str(config.paths.etcd),
        "listen-client-urls": ",".join(dict.fromkeys((local, client))),
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": config.etcd_cluster or f"{config.node_name}={peer}",
        "initial-cluster-state": "existing" if config.etcd_cluster else "new",
        "trusted-ca-file": str(pki_files / "ca.crt"),
        "cert-file": str(pki_files / "server.crt"),
        "key-file": str(pki_files / "server.key"),
        "peer-trusted-ca-file": str(pki_files / "ca.crt"),
        "peer-cert-file": str(pki_files / "peer.crt"),
        "peer-key-file": str(pki_files / "peer.key"),
        "client-cert-auth": "true",
        "peer-client-cert-auth": "true",
        "quota-backend-bytes": str(QUOTA_BYTES),
        "logger": "zap",
        "log-level": "warn",
        "log-outputs": "stderr",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def client_url(config: node_config.NodeConfig) -> str:
    """Where other servers reach this node's etcd."""
    return f"https://{addresses.host_port(config.first_node_ip, config.etcd_client_port)}"


def peer_url(config: node_config.NodeConfig) -> str:
    """Where other members reach this node's etcd."""
    return f"https://{addresses.host_port(config.first_node_ip, config.etcd_peer_port)}"


def store(config: node_config.NodeConfig) -> settings.EtcdSettings | Path:
    """Return where this server's objects are."""
    if not config.store:
        return config.paths.store / "cluster.db"
    if config.store == node_config.ETCD:
        return managed(config, f"127.0.0.1:{config.etcd_client_port}")
    given = {name: getattr(config, f"etcd_{name}") for name in ("ca", "cert", "key")}
    files = {name: Path(value) if value else None for name, value in given.items()}
    return settings.parse(config.store, prefix=config.etcd_prefix, **files)


def managed(config: node_config.NodeConfig, *endpoints: str) -> settings.EtcdSettings:
    """Return how to reach the etcd that nanokube runs, by any of its members and the rest that they name."""
    directory = config.paths.pki / "etcd"
    return settings.EtcdSettings(
        endpoints, directory / "ca.crt", directory / "client.crt", directory / "client.key", learns=True
    )


def opened(where: settings.EtcdSettings) -> contextlib.AbstractAsyncContextManager[etcd_store.EtcdStore]:
    """Open a shared store for a command: it takes no turns, nor waits for a restore that may never end.

    Raises OSError, Unavailable, Refused.
    """
    plain = dataclasses.replace(where, learns=False)
    return etcd_store.opened(plain, compacts=False, awaits_restore=False)


def joined(config: node_config.NodeConfig, *endpoints: str) -> node_config.NodeConfig:
    """Announce this node's etcd to the cluster at endpoints ("host:port"); return its settings.

    The authority must be in pki/etcd already; the other certificates are made. Blocks for seconds; safe to
    call again. Raises EtcdError.
    """
    config = dataclasses.replace(config, store=node_config.ETCD)
    try:
        ensure_credentials(config, datetime.datetime.now(datetime.UTC))
        where = dataclasses.replace(managed(config, *endpoints), learns=False)
        cluster = asyncio.run(members.add(where, config.node_name, peer_url(config)))
    except (OSError, StoreError) as err:
        raise _not_joined(managed(config, *endpoints), err) from err
    return dataclasses.replace(config, etcd_cluster=cluster)


def _not_joined(where: settings.EtcdSettings, err: Exception) -> EtcdError:
    """etcd takes in nobody while a member does not answer: name it."""
    with contextlib.suppress(OSError, StoreError):
        for each in asyncio.run(members.known(dataclasses.replace(where, learns=False))):
            if not each.is_answering:
                name = each.name or each.address
                return EtcdError(
                    f"cannot join etcd: its member {name} ({each.address}) does not answer",
                    f"start that server; if it is lost, on another server: sudo nanokube etcd remove {name}",
                )
    return EtcdError(f"cannot join etcd at {', '.join(where.endpoints)}: {err}")


def promote(config: node_config.NodeConfig) -> None:
    """Let this node's etcd vote once it has caught up; at once if it does. Blocks. Raises EtcdError."""
    try:
        asyncio.run(members.promote(_others(config), config.node_name))
    except (OSError, StoreError) as err:
        raise EtcdError(str(err)) from err


async def keep_voting(config: node_config.NodeConfig) -> None:
    """Let this node's etcd vote if its join was broken off before; return once it does."""
    if config.etcd_cluster:  # the first has always voted
        await members.keep_voting(_own(config), _others(config), config.node_name)


def _own(config: node_config.NodeConfig) -> settings.EtcdSettings:
    return dataclasses.replace(managed(config, f"127.0.0.1:{config.etcd_client_port}"), learns=False)


@contextlib.contextmanager
def serving(config: node_config.NodeConfig, *options: str) -> Iterator[None]:
    """Have this node's etcd run for as long as the block, if it is one that nanokube runs. Blocks.

    What it says goes to etcd.log. Raises EtcdError, OSError, CredentialError.
    """
    if config.store != node_config.ETCD:
        yield
        return
    ensure_program()
    ensure_credentials(config, datetime.datetime.now(datetime.UTC))
    config.paths.etcd.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.paths.log.mkdir(mode=0o750, parents=True, exist_ok=True)
    said = config.paths.log / "etcd.log"
    command = [PROGRAM, *arguments(config), *options]
    with said.open("ab") as log_file, subprocess.Popen(command, stderr=log_file) as process:
        try:
            _await_answer(config, process, said)
            yield
        finally:
            process.terminate()


def _await_answer(config: node_config.NodeConfig, process: subprocess.Popen[bytes], said: Path) -> None:
    """Wait until this node's etcd answers. Blocks. Raises EtcdError."""
    deadline = time.monotonic() + START_S
    while not asyncio.run(members.is_answering(_own(config))):
        if process.poll() is not None:
            raise EtcdError(f"etcd ended with {process.returncode}", f"see {said}")
        if time.monotonic() > deadline:
            raise EtcdError(f"etcd does not answer within {START_S:.0f} s", f"see {said}")
        time.sleep(AGAIN_S)


def leave(config: node_config.NodeConfig) -> bool:
    """Take this node out of its etcd cluster, unless it is the last; tell whether it was in one. Blocks.

    Raises EtcdError: it stays a member, which the others cannot reach.
    """

    async def remove() -> bool:
        # etcd refuses while a member has been connected for less than 5 s: one that just joined, too. Two
        # members of which one ends without being removed are an etcd that answers nothing any more.
        deadline = time.monotonic() + LEAVE_S
        while True:
            try:
                async with asyncio.timeout(LEAVE_S):
                    return await members.remove(_others(config), config.node_name)
            except StoreError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(AGAIN_S)

    if config.store != node_config.ETCD or not (config.paths.pki / "etcd" / "client.key").exists():
        return False
    try:
        return asyncio.run(remove())
    except (OSError, StoreError) as err:  # TimeoutError is an OSError
        cause = str(err) or "no answer"
        raise EtcdError(f"cannot remove {config.node_name} from the etcd cluster: {cause}") from err


def _others(config: node_config.NodeConfig) -> settings.EtcdSettings:
    """By its first members too: this node's own may not be there yet, or not any more."""
    urls = [part.partition("=")[2] for part in config.etcd_cluster.split(",") if part]
    hosts = [url.partition("://")[2].rpartition(":")[0] for url in urls]
    local, own = f"127.0.0.1:{config.etcd_client_port}", addresses.bracketed(config.first_node_ip)
    others = [f"{host}:{config.etcd_client_port}" for host in hosts if host != own]
    return dataclasses.replace(managed(config, *others, local), learns=False)
