"""The members of an etcd cluster: who they are, and how one comes and goes.

A new member is a learner first: it counts for no majority, so that the cluster goes on while it catches up.
Source: etcd api/v3 rpc.proto (Cluster); etcd docs, "Learner".
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final

from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import ATTEMPT_S, Connection
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.store import StoreError, Unavailable

log = logging.getLogger(__name__)

CHANGE_S: Final = 10.0
PROMOTION_S: Final = 180.0  # of which a slow, busy host takes a minute until its etcd runs
PAUSE_S: Final = 0.3
# The member before has been connected for less than 5 s, or does not vote yet; or one of this address was
# removed within the second, of which and the address a member's ID is made (etcd api/v3rpc/rpctypes).
SOON: Final = ("unhealthy cluster", "too many learner members", "member not found")
ADDITION_S: Final = 30.0
LOOK_S: Final = 10.0


async def names(settings: EtcdSettings) -> list[str]:
    """Name the members; "" for one that has not started yet. Raises OSError, Unavailable, Refused."""
    connection = Connection(settings)
    try:
        return [member.name for member in await _members(connection)]
    finally:
        await connection.close()


async def hosts(settings: EtcdSettings) -> list[str]:
    """Return the members' addresses, without ports. Raises OSError, Unavailable, Refused."""
    connection = Connection(settings)
    try:
        return [host_of(member) for member in await _members(connection)]
    finally:
        await connection.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A member. name: "" until it has started. is_answering: by itself, whatever the others say."""

    name: str
    address: str
    is_learner: bool
    is_answering: bool
    is_leader: bool = False


async def known(settings: EtcdSettings) -> list[Known]:
    """List the members, and ask each whether it lives. Raises OSError, Unavailable, Refused."""
    connection = Connection(settings)
    try:
        found = await _members(connection)
    finally:
        await connection.close()
    return list(await asyncio.gather(*(_known(settings, member) for member in found)))


async def is_answering(settings: EtcdSettings) -> bool:
    """Ask one member once whether it lives. Raises OSError."""
    return await _status(settings) is not None


async def keep_voting(own: EtcdSettings, cluster: EtcdSettings, name: str) -> None:
    """Let the member at own vote if the join that was to see to it was broken off; return once it does.

    Until then it answers no API server. cluster: how to reach the others.
    """
    while True:
        try:
            status = await _status(own)
            if status is not None:
                if not status.isLearner:
                    return
                log.warning("etcd here does not vote yet: asking the others to let it")
                await promote(cluster, name, LOOK_S)
        except (OSError, StoreError) as err:
            log.warning("etcd here may not vote yet: %s", err)
        await asyncio.sleep(LOOK_S)


async def _status(settings: EtcdSettings) -> Any:
    """Ask one member once how it is; None if it does not answer. Raises OSError."""
    connection = Connection(settings)
    ask = pb.StatusRequest()
    try:
        return await connection.attempt(lambda m: m.maintenance.Status(ask, timeout=ATTEMPT_S))
    except StoreError:
        return None
    finally:
        await connection.close()


async def _known(settings: EtcdSettings, member: Any) -> Known:
    is_answering = is_leader = False
    endpoints = tuple(urllib.parse.urlsplit(url).netloc for url in member.clientURLs)
    if endpoints:  # it has none before its first start
        status = await _status(dataclasses.replace(settings, endpoints=endpoints[:1]))
        is_answering, is_leader = status is not None, status is not None and status.leader == member.ID
    return Known(member.name, host_of(member), member.isLearner, is_answering, is_leader)


def host_of(member: Any) -> str:
    """Return the address of a member. Pure."""
    return urllib.parse.urlsplit(member.peerURLs[0]).hostname or ""


async def add(settings: EtcdSettings, name: str, peer_url: str) -> str:
    """Add a learner; return what it must start with: "a=https://…,b=https://…" (--initial-cluster).

    Added before but never started, it is given the same again. A member of this name that has started is of
    its earlier life, whose data it has not: that one is removed. Raises OSError, Unavailable, Refused.
    """
    connection = Connection(settings)
    try:
        members = await _members(connection)
        for former in former_lives(members, name):
            await _removed(connection, former.ID)
            members = [m for m in members if m.ID != former.ID]
        known = next((m for m in members if peer_url in m.peerURLs), None)
        if known is not None and known.name:
            raise Unavailable(f"cannot add etcd member {name}: {known.name} has {peer_url} already")
        if known is None:
            request = pb.MemberAddRequest(peerURLs=[peer_url], isLearner=True)
            members = await _added(connection, request)
        return ",".join(f"{member.name or name}={url}" for member in members for url in member.peerURLs)
    finally:
        await connection.close()


async def _added(connection: Connection, request: pb.MemberAddRequest) -> list[Any]:
    """Add a member; wait where etcd refuses because of one that came just before. Raises as add does."""
    deadline = time.monotonic() + ADDITION_S
    while True:
        try:
            answer = await connection.attempt(lambda m: m.cluster.MemberAdd(request, timeout=CHANGE_S))
            return list(answer.members)
        except StoreError as err:
            if time.monotonic() > deadline or not any(each in str(err) for each in SOON):
                raise
        await asyncio.sleep(PAUSE_S)


async def promote(settings: EtcdSettings, name: str, patience_s: float = PROMOTION_S) -> None:
    """Let a learner vote, once it has caught up; a member that does already stays. Raises Unavailable."""
    connection = Connection(settings)
    cause = "it has not started"
    try:
        async with asyncio.timeout(patience_s):
            while True:
                try:
                    member = next((m for m in await _members(connection) if m.name == name), None)
                    if member is not None and not member.isLearner:
                        return
                    if member is not None:
                        request = pb.MemberPromoteRequest(ID=member.ID)
                        await connection.attempt(_promotion(request))
                        return
                except StoreError as err:
                    cause = str(err)
                await asyncio.sleep(PAUSE_S)
    except TimeoutError as err:
        raise Unavailable(f"cannot promote etcd member {name}: {cause}") from err
    finally:
        await connection.close()


async def remove(settings: EtcdSettings, name: str) -> bool:
    """Remove a member, by name or address, unless it is the last; tell whether it was one.

    Raises OSError, Unavailable, Refused (too few would be left).
    """
    connection = Connection(settings)
    try:
        members = await _members(connection)
        gone = next((m for m in members if name in (m.name, host_of(m))), None)
        if gone is None or len(members) == 1:
            return False
        await _removed(connection, gone.ID)
        return True
    finally:
        await connection.close()


def former_lives(members: Sequence[Any], name: str) -> list[Any]:
    """Return the members of a name that have started: one that has not has no name yet. Pure."""
    return [member for member in members if member.name == name]


async def _removed(connection: Connection, number: int) -> None:
    request = pb.MemberRemoveRequest(ID=number)
    # refused as "unhealthy" until the others have been connected for 5 s: asked again
    await connection.insist(lambda m: m.cluster.MemberRemove(request, timeout=CHANGE_S))


def _promotion(request: pb.MemberPromoteRequest) -> Any:
    return lambda m: m.cluster.MemberPromote(request, timeout=CHANGE_S)


async def _members(connection: Connection) -> list[Any]:
    request = pb.MemberListRequest()
    answer = await connection.insist(lambda m: m.cluster.MemberList(request, timeout=ATTEMPT_S))
    return list(answer.members)
