"""Follows NetworkPolicies and, while there are any, Pods and Namespaces; writes the rules that changed.

Without a policy nothing else is watched and the kernel has no table. What a former agent wrote stays in force
until all is known again, and is replaced in one transaction.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, Never

from cri.linux import nftables
from nanokube.api import objects, resources
from nanokube.api.objects import Object
from nanokube.client import informer
from nanokube.client.interface import ApiClient
from nanokube.netpol import plan, pods, policy, ruleset

log = logging.getLogger(__name__)

POLICIES = "networkpolicies.networking.k8s.io"
# Somebody may flush the ruleset without a word to us.
CHECK_S = 30.0
RETRY_S = 1.0
ATTACH_S = 5.0

Nft = Callable[[str], str]


class NetworkPolicies:
    """Keeps the rules of one node."""

    def __init__(self, client: ApiClient, node_name: str, *, nft: Nft | None = None) -> None:
        """nft: runs commands as one transaction (tests); default: libnftables."""
        self._client = client
        self._node_name = node_name
        self._run_nft = nft or nftables.Nftables().run
        self._policies = informer.Informer(client, resources.get(POLICIES))
        self._planner: plan.Planner | None = None
        self._shown = ruleset.EMPTY
        self._is_dirty = False
        self._is_late = False
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()

    async def run(self) -> Never:
        """Follow changes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._policies.run(), name="informer networkpolicies")
            await informer.wait_synced(self._policies)
            self._policies.subscribe(self._on_policy)
            while True:
                if len(self._policies):
                    await self._enforce()
                await self._remove()
                if not len(self._policies):
                    self._be_ready()
                    await self._woken(None)
        raise AssertionError("runs until it is cancelled")

    async def attached(self, pod: Object, ips: Sequence[str]) -> None:
        """Return once the rules of a Pod of this node are in force: its containers start after that.

        ips: the addresses that it was given. Without servers no Pod would start again, so it waits for
        ATTACH_S at most, and once only.
        """
        known = dataclasses.replace(pods.read(pod), node=self._node_name, ips=tuple(ips))
        if self._is_late or not known.is_connected:
            return
        try:
            async with asyncio.timeout(ATTACH_S):
                await self._attach(known)
        except TimeoutError:
            self._is_late = True
            log.warning("pod starts before its network policies are known pod=%s", known.key)

    async def _attach(self, pod: pods.Pod) -> None:
        await self._ready.wait()
        if self._planner is None:
            return
        if self._planner.attach(pod):
            self._is_dirty = True
        while True:
            if await self._apply():
                return
            await asyncio.sleep(RETRY_S)

    def _be_ready(self) -> None:
        self._is_late = False
        self._ready.set()

    async def _enforce(self) -> None:
        """Keep the rules for as long as there are policies."""
        self._ready.clear()
        client = self._client
        namespaces = informer.Informer(client, resources.get("namespaces"), transform=pods.trim_metadata)
        everyone = informer.Informer(client, resources.get("pods"), transform=pods.trim)
        async with asyncio.TaskGroup() as group:
            followed = [group.create_task(each.run()) for each in (namespaces, everyone)]
            await informer.wait_synced(namespaces, everyone)
            self._planner = plan.Planner(self._node_name)
            self._is_dirty = True
            for each in self._policies.list():
                self._on_policy("ADDED", None, each)
            namespaces.subscribe(self._on_namespace)
            everyone.subscribe(self._on_pod)
            while len(self._policies):
                is_written = await self._apply()
                if is_written and not self._ready.is_set():
                    log.info("network policies in force count=%d", len(self._policies))
                    self._be_ready()
                if not await self._woken(CHECK_S if is_written else RETRY_S) and is_written:
                    await self._check()
            self._planner = None
            for task in followed:
                task.cancel()

    def _on_policy(self, change: str, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        if self._planner is None:
            self._ready.clear()
        else:
            try:
                read = policy.read(new) if change != "DELETED" else None
            except (ValueError, KeyError) as err:
                log.warning("network policy not understood key=%s error=%s", objects.key(new), err)
                return
            self._planner.set_policy(objects.key(new), read)
        self._mark()

    def _on_namespace(self, change: str, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        if self._planner is not None:
            labels = objects.labels(new) if change != "DELETED" else None
            if self._planner.set_namespace(objects.name(new), labels):
                self._mark()

    def _on_pod(self, change: str, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        if self._planner is not None:
            pod = pods.read(new)
            if self._planner.remove_pod(pod) if change == "DELETED" else self._planner.set_pod(pod):
                self._mark()

    def _mark(self) -> None:
        self._is_dirty = True
        self._wake.set()

    async def _woken(self, timeout_s: float | None) -> bool:
        """Wait for a change; returns whether there is one."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    async def _apply(self) -> bool:
        """Write what changed; returns whether the kernel has it all."""
        async with self._writing:
            if not self._is_dirty or self._planner is None:
                return True
            self._is_dirty = False
            wanted = self._planner.plan()
            if await self._write(wanted):
                self._shown = wanted
                return True
            self._is_dirty = True
            return False

    async def _write(self, wanted: ruleset.Ruleset) -> bool:
        """Write the difference, or all where that is refused; returns whether either was taken."""
        if self._shown is not ruleset.EMPTY:
            with contextlib.suppress(nftables.NftablesError):
                await self._nft(ruleset.changes(self._shown, wanted))
                await self._nft(ruleset.removals(self._shown, wanted))
                return True
        try:
            await self._nft(ruleset.everything(wanted))
        except nftables.NftablesError as err:
            log.warning("network policies not written cause=%s", str(err).splitlines()[0])
            return False
        return True

    async def _check(self) -> None:
        """Write all anew if somebody took the table away."""
        async with self._writing:
            try:
                await self._nft(ruleset.check())
            except nftables.NftablesError:
                log.warning("network policies were removed by somebody, and are written anew")
                self._shown = ruleset.EMPTY
                self._mark()

    async def _remove(self) -> None:
        """Take the table away, and what a former agent left."""
        async with self._writing:
            try:
                await self._nft(ruleset.remove())
                self._shown = ruleset.EMPTY
            except nftables.NftablesError as err:
                log.warning("network policies not removed cause=%s", str(err).splitlines()[0])

    async def _nft(self, commands: str) -> None:
        if commands:
            await asyncio.to_thread(self._run_nft, commands)
