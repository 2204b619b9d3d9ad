"""Registers the Node, reports its status and renews its lease.

Source: pkg/kubelet/kubelet_node_status.go, staging component-helpers/apimachinery/lease/controller.go.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Never

from nanokube.api import errors, resources, timestamps
from nanokube.client.events import Recorder
from nanokube.client.informer import Change
from nanokube.client.interface import ApiClient, PatchKind
from nanokube.kit import clock, tasks
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.node import facts as facts_
from nanokube.kubelet.node import status
from nanokube.kubelet.runtime import Runtime, RuntimeFault

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
NODES = resources.get("nodes")
LEASES = resources.get("leases.coordination.k8s.io")
LEASE_NAMESPACE = "kube-node-lease"
RETRY_S = 0.25  # a server that was killed is back within a second, and the kubelet serves nothing before
DOWN = "container runtime is down"
ATTEMPT_S = 10.0  # upstream's limit for an answer about the Node: a connection may have died unnoticed


class NodeReporter:
    """Speaks for the node. `node` is the object as last seen, with status."""

    def __init__(
        self,
        config: KubeletConfig,
        client: ApiClient,
        runtime: Runtime,
        recorder: Recorder,
        time: clock.Clock = clock.SYSTEM,
    ) -> None:
        self._config = config
        self._client = client
        self._runtime = runtime
        self._recorder = recorder
        self._clock = time
        self._reported_at = float("-inf")
        self._was_ready: bool | None = None
        self._lease: dict[str, Any] | None = None
        self._features: dict[str, Any] | None = None
        self._obstacle = ""
        self._has_range = asyncio.Event()
        self.facts = facts_.read(config.root)
        self.node: dict[str, Any] = status.node(config, self.facts)
        self.node["status"] = {"allocatable": self.allocatable()}

    def allocatable(self) -> dict[str, str]:
        """List what Pods may have of the node."""
        return status.allocatable(self._config, status.capacity(self._config, self.facts))

    def reference(self) -> dict[str, Any]:
        """Name the node in events, whose namespace is "default" by custom."""
        name = self._config.node_name
        uid = self.node["metadata"].get("uid", name)
        return {"kind": "Node", "apiVersion": "v1", "name": name, "uid": uid}

    async def register(self) -> None:
        """Create the Node or adopt the one that is there; report once. Retried until the API answers."""
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    await self._create_or_adopt()
                await self.report()
                await self.renew()
                return
            except (errors.ApiError, OSError) as error:
                log.warning("node not registered: error=%s", tasks.describe(error))
            await asyncio.sleep(RETRY_S)

    async def _create_or_adopt(self) -> None:
        wanted = status.node(self._config, self.facts)
        try:
            self.node = await self._client.create(NODES, wanted)
            log.info("node registered: node=%s", self._config.node_name)
            return
        except errors.ApiError as error:
            if not errors.is_already_exists(error):
                raise
        found = await self._client.get(NODES, self._config.node_name)
        change: dict[str, Any] = {}
        if missing := _missing(wanted["metadata"]["labels"], found["metadata"].get("labels")):
            change["metadata"] = {"labels": missing}
        if not (found.get("spec") or {}).get("podCIDR") and wanted["spec"].get("podCIDR"):
            change["spec"] = {key: wanted["spec"][key] for key in ("podCIDR", "podCIDRs")}
        if change:
            found = await self._client.patch(NODES, self._config.node_name, change, kind=PatchKind.MERGE)
        self.node = found

    def pod_cidr(self) -> str:
        """Return the ranges of Pods' addresses, with a comma between: the API's, else the configuration's."""
        spec = self.node.get("spec") or {}
        given = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
        return ",".join(given) or self._config.pod_cidr

    def follow(self, change: Change, old: dict[str, Any] | None, node: dict[str, Any]) -> None:
        """Keep the Node as the API has it; an informer's handler."""
        if change != "DELETED":
            self.node = node
            if self.pod_cidr():
                self._has_range.set()

    async def assigned_pod_cidr(self) -> str:
        """Wait until the node has a range, and return it."""
        if not self.pod_cidr():
            await self._has_range.wait()
        return self.pod_cidr()

    async def run(self) -> Never:
        """Look at the node and renew the lease until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                tasks.every(self._config.node_status_check_s, self.report, name="node status", at_once=False)
            )
            group.create_task(
                tasks.every(self._config.lease_renew_s, self.renew, name="node lease", at_once=False)
            )
            await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def set_obstacle(self, reason: str) -> None:
        """Have the Node not be Ready for a reason, "" for none; retried until the API knows."""
        self._obstacle = reason
        while True:
            try:
                await self.report()
                return
            except (errors.ApiError, OSError) as error:
                log.warning("node not reported: error=%s", tasks.describe(error))
            await asyncio.sleep(RETRY_S)

    async def report(self) -> None:
        """Patch the status when it changed, or when it was last sent long ago."""
        built, problem = await self._build()
        old = self.node.get("status") or {}
        due = self._clock.monotonic() - self._reported_at >= self._config.node_status_report_s
        bare_old = {key: old.get(key) for key in built}
        if "conditions" in old and not due and not self._differs(built, bare_old):
            return
        # Addresses merge by their type, of which each family's has the same: they replace the old ones.
        addresses = [*built["addresses"], {"$patch": "replace"}]
        self.node = await self._client.patch(
            NODES,
            self._config.node_name,
            {"status": {**built, "addresses": addresses}},
            kind=PatchKind.STRATEGIC,
            subresource="status",
        )
        self._reported_at = self._clock.monotonic()
        self._tell(not problem)

    def _differs(self, built: Object, old: Object) -> bool:
        known = {c["type"] for c in built["conditions"]}
        mine = [c for c in old.get("conditions") or () if c["type"] in known]
        mine.sort(key=lambda c: [b["type"] for b in built["conditions"]].index(c["type"]))
        return status.without_heartbeats(built) != status.without_heartbeats({**old, "conditions": mine})

    async def _build(self) -> tuple[dict[str, Any], str]:
        problem, version = await self._runtime_problem()
        self.facts = await asyncio.to_thread(facts_.read, self._config.root, version)
        # One that is down was waited for; waiting for it again would keep the news of it back.
        images = self._known_images() if problem.startswith(DOWN) else await self._images()
        built = status.status(
            self._config,
            self.facts,
            self.node.get("status") or {},
            images,
            not_ready=problem,
            now=self._clock.time(),
            runtime=self._features,
        )
        return built, problem

    async def _runtime_problem(self) -> tuple[str, str]:
        """Return why the runtime cannot run Pods ("" when it can) and its name://version."""
        try:
            version = await self._runtime.version()
            answer = await self._runtime.status()
        except RuntimeFault as fault:
            return f"{DOWN}: {fault.message}", self.facts.runtime_version
        self._features = status.runtime_features(answer)
        bad = [
            f"container runtime {c.type} is not ready: reason:{c.reason} message:{c.message}"
            for c in answer.status.conditions
            if c.type in ("RuntimeReady", "NetworkReady") and not c.status
        ]
        bad += [self._obstacle] if self._obstacle else []
        return ", ".join(bad), f"{version.runtime_name}://{version.runtime_version}"

    async def _images(self) -> list[dict[str, Any]]:
        try:
            images = await self._runtime.images()
        except RuntimeFault:
            return self._known_images()
        images.sort(key=lambda image: (-image.size, image.id))
        return [
            {
                "names": [*image.repo_digests, *image.repo_tags][: status.MAX_IMAGE_NAMES],
                "sizeBytes": int(image.size),
            }
            for image in images
            if image.repo_digests or image.repo_tags
        ]

    def _known_images(self) -> list[dict[str, Any]]:
        return list((self.node.get("status") or {}).get("images") or ())

    def _tell(self, is_ready: bool) -> None:
        if self._was_ready is not is_ready:
            reason = "NodeReady" if is_ready else "NodeNotReady"
            message = f"Node {self._config.node_name} status is now: {reason}"
            self._recorder.event(self.reference(), "Normal", reason, message)
        self._was_ready = is_ready

    async def renew(self) -> None:
        """Renew the node's lease, by which its life is known."""
        if self._lease is not None:
            self._lease["spec"]["renewTime"] = timestamps.format_micro(self._clock.time())
            try:
                self._lease = await self._client.update(LEASES, self._lease)
                return
            except errors.ApiError as error:
                if error.code not in (404, 409):
                    raise
        self._lease = await self._obtain()

    async def _obtain(self) -> dict[str, Any]:
        name = self._config.node_name
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": self._config.lease_duration_s,
            "renewTime": timestamps.format_micro(self._clock.time()),
        }
        try:
            found = await self._client.get(LEASES, name, LEASE_NAMESPACE)
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            return await self._client.create(LEASES, self._new_lease(spec), LEASE_NAMESPACE)
        found["spec"] = {**(found.get("spec") or {}), **spec}
        return await self._client.update(LEASES, found)

    def _new_lease(self, spec: Object) -> dict[str, Any]:
        name = self._config.node_name
        owner = {
            "apiVersion": "v1",
            "kind": "Node",
            "name": name,
            "uid": self.node["metadata"].get("uid", ""),
        }
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": dict(spec),
        }


def _missing(wanted: Mapping[str, str], have: Mapping[str, str] | None) -> dict[str, str]:
    have = have or {}
    return {key: value for key, value in wanted.items() if have.get(key) != value}
