"""The members of the etcd that nanokube runs, for people: who is there, and taking out one that is lost.

A server that leaves takes its member with it (`nanokube reset`). One that is lost stays a member: it counts
for the majority, and etcd takes in nobody while a member does not answer.
"""

import asyncio
import dataclasses
import time

from nanokube.roles import config as node_config
from nanokube.roles import etcd
from nanokube.storage.etcd import members
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.store import StoreError

RECOVERY_S = 60.0
LOOK_S = 0.3


def listed(config: node_config.NodeConfig) -> list[members.Known]:
    """List the members as this server's etcd knows them. Blocks. Raises EtcdError."""
    try:
        return asyncio.run(members.known(_settings(config)))
    except (OSError, StoreError) as err:
        raise etcd.EtcdError(f"cannot ask etcd: {err}", "see that it runs: sudo nanokube status") from err


def remove(config: node_config.NodeConfig, name: str) -> members.Known:
    """Take out a member by name or address; return what it was. Blocks. Raises EtcdError."""
    found = listed(config)
    gone = choose(found, name, config.node_name)
    try:
        asyncio.run(members.remove(_settings(config), gone.name or gone.address))
    except (OSError, StoreError) as err:
        voters = [each for each in found if not each.is_learner]
        alive = sum(each.is_answering for each in voters)
        hint = ""
        if alive <= len(voters) // 2:
            hint = f"of {len(voters)} members {alive} answer, which is no majority: start another one first"
        raise etcd.EtcdError(f"cannot remove {name} from etcd: {err}", hint) from err
    return gone


def choose(found: list[members.Known], name: str, own: str) -> members.Known:
    """Return the member that is called so, if it may be taken out. Pure. Raises EtcdError."""
    gone = next((each for each in found if name in (each.name, each.address)), None)
    if gone is None:
        there = ", ".join(each.name or each.address for each in found)
        raise etcd.EtcdError(f"etcd has no member {name}", f"it has {there}")
    if gone.name == own:
        raise etcd.EtcdError(f"{name} is this server", "it leaves by `nanokube reset`")
    if gone.is_answering:
        raise etcd.EtcdError(f"etcd on {name} answers", "it leaves by `nanokube reset` on that server")
    return gone


def recover(config: node_config.NodeConfig) -> None:
    """Make this server's etcd a cluster of its own, of the data that it has. Blocks. Raises EtcdError.

    The node is down. What a majority had acknowledged without this member is lost.
    Source: etcd docs, "Disaster recovery", --force-new-cluster.
    """
    if not (config.paths.etcd / "member").exists():
        raise etcd.EtcdError(f"cannot recover etcd: there is no data in {config.paths.etcd}")
    deadline, cause = time.monotonic() + RECOVERY_S, "no answer"
    with etcd.serving(config, "--force-new-cluster"):
        while True:
            try:
                found = listed(config)
                if [each.name for each in found if each.is_leader] == [config.node_name] and len(found) == 1:
                    break
            except etcd.EtcdError as err:
                cause = str(err)
            if time.monotonic() > deadline:
                raise etcd.EtcdError(f"cannot recover etcd: {cause}")
            time.sleep(LOOK_S)
    node_config.save(dataclasses.replace(config, etcd_cluster=""))


def _settings(config: node_config.NodeConfig) -> EtcdSettings:
    if config.store != node_config.ETCD:
        raise etcd.EtcdError("this server runs no etcd", "that of --store is for its own tools")
    return dataclasses.replace(etcd.managed(config, f"127.0.0.1:{config.etcd_client_port}"), learns=False)
