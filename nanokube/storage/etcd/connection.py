"""Calls to the members of an etcd cluster, one after the other until one answers.

A member that fails, or does not answer in time, is left for the next. What cannot be repeated (a write that
may have been done) is the caller's to judge: `Failed` says whether the request can have reached a member.
Source: etcd api/v3 v3rpc/rpctypes (errors), server/etcdserver/api/v3rpc/util.go (their codes).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, Never, TypeVar

import grpc
import grpc.aio

from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd import rpc_pb2_grpc as rpc
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.store import StoreError, Unavailable

log = logging.getLogger(__name__)

ATTEMPT_S: Final = 2.0  # a member answers in milliseconds, unless it is cut off or a leader is being elected
PATIENCE_S: Final = 12.0  # an election takes some seconds
KEEP_S: Final = 60.0  # between two looks at certificates and members
PAUSE_S: Final = 0.05  # before the next member is asked; doubles

_LOST: Final = frozenset(
    (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
    )
)
_OPTIONS: Final = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
_Answer = TypeVar("_Answer")


class Failed(StoreError):
    """One attempt got no answer. is_sent: the request may have reached the member."""

    def __init__(self, cause: str, *, is_sent: bool) -> None:
        super().__init__(cause)
        self.is_sent = is_sent


class Refused(StoreError):
    """etcd answered that it will not; nothing was done. is_busy: later it may."""

    def __init__(self, cause: str, code: grpc.StatusCode, *, is_busy: bool) -> None:
        super().__init__(cause)
        self.code = code
        self.is_busy = is_busy


class Files(NamedTuple):
    """What the settings' files hold."""

    ca: bytes | None
    cert: bytes | None
    key: bytes | None


class Member:
    """One endpoint and its services."""

    def __init__(self, endpoint: str, channel: grpc.aio.Channel) -> None:
        self.endpoint = endpoint
        self.channel = channel
        self.kv: Any = rpc.KVStub(channel)  # type: ignore[no-untyped-call]
        self.lease: Any = rpc.LeaseStub(channel)  # type: ignore[no-untyped-call]
        self.watch: Any = rpc.WatchStub(channel)  # type: ignore[no-untyped-call]
        self.cluster: Any = rpc.ClusterStub(channel)  # type: ignore[no-untyped-call]
        self.maintenance: Any = rpc.MaintenanceStub(channel)  # type: ignore[no-untyped-call]


class Connection:
    """All members; `member` is the one that is used at present. Raises OSError for unreadable files."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        self._files = _files(settings)
        self._members = _members(settings.endpoints, self._files)
        self._at = 0
        self.on_leave: Callable[[], None] = lambda: None  # what still waits for the member may give it up

    @property
    def member(self) -> Member:
        """Who is asked."""
        return self._members[self._at]

    def leave(self, member: Member, cause: str) -> None:
        """Turn to the next member, unless somebody has already."""
        if member is self.member and len(self._members) > 1:
            self._at = (self._at + 1) % len(self._members)
            self.on_leave()
            log.warning(
                "left etcd member: from=%s to=%s cause=%s", member.endpoint, self.member.endpoint, cause
            )

    async def attempt(self, ask: Callable[[Member], Awaitable[_Answer]]) -> _Answer:
        """Ask once. Raises Failed, Refused."""
        member = self.member
        try:
            return await ask(member)
        except grpc.aio.AioRpcError as err:
            code, details = err.code(), err.details() or ""
            cause = f"{member.endpoint}: {details or code.name}"
            if code in _LOST:
                self.leave(member, details or code.name)
                raise Failed(cause, is_sent=not details.startswith("failed to connect")) from err
            raise Refused(cause, code, is_busy="too many requests" in details) from err

    async def insist(self, ask: Callable[[Member], Awaitable[_Answer]]) -> _Answer:
        """Ask until a member answers: for what may be done twice. Raises Unavailable, Refused."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + PATIENCE_S, PAUSE_S
        while True:
            try:
                return await self.attempt(ask)
            except Refused as err:
                if not err.is_busy or loop.time() > deadline:
                    raise
            except Failed as err:
                if loop.time() > deadline:
                    raise Unavailable(f"cannot reach etcd: {err}") from err
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.8)

    async def keep(self) -> Never:
        """Follow renewed certificates and, where wanted, the cluster's members, for ever."""
        while True:
            try:
                await self._renew()
            except (OSError, StoreError) as err:
                log.warning("cannot renew the connection to etcd: %s", err)
            await asyncio.sleep(KEEP_S)

    async def _renew(self) -> None:
        endpoints = list(self._settings.endpoints)
        if self._settings.learns:
            request = pb.MemberListRequest()
            answer = await self.insist(lambda m: m.cluster.MemberList(request, timeout=ATTEMPT_S))
            endpoints += [e for e in _endpoints(answer.members) if e not in endpoints]
        files = _files(self._settings)
        if files == self._files and endpoints == [m.endpoint for m in self._members]:
            return
        log.info("etcd members: %s", ",".join(endpoints))
        old, self._members = self._members, _members(endpoints, files)
        self._files, self._at = files, 0
        await asyncio.sleep(ATTEMPT_S)  # what was asked may be answered yet
        for member in old:
            await member.channel.close(None)

    async def close(self) -> None:
        """End all calls."""
        for member in self._members:
            await member.channel.close(None)


def _endpoints(members: Iterable[Any]) -> list[str]:
    """Name the members' addresses, without those of their own hosts only and of members yet to start."""
    found = [url.partition("://")[2].rstrip("/") for member in members for url in member.clientURLs]
    return sorted(e for e in found if e and not e.startswith(("127.", "localhost", "[::1]")))


def _members(endpoints: Iterable[str], files: Files) -> list[Member]:
    options = _OPTIONS
    if files.ca is None:
        return [Member(e, grpc.aio.insecure_channel(e, options=options)) for e in endpoints]
    credentials = grpc.ssl_channel_credentials(files.ca, files.key, files.cert)
    return [Member(e, grpc.aio.secure_channel(e, credentials, options=options)) for e in endpoints]


def _files(settings: EtcdSettings) -> Files:
    paths = (settings.ca, settings.cert, settings.key)
    return Files(*(path.read_bytes() if path else None for path in paths))
