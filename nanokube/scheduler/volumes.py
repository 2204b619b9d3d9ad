"""Carries out what was planned for a Pod's claims, and waits until they are bound.

Source: pkg/scheduler/framework/plugins/volumebinding/binder.go (BindPodVolumes; the time, too).
"""

import asyncio
from collections.abc import Callable

from nanokube.api import objects, resources, volume_binding
from nanokube.client.interface import ApiClient
from nanokube.scheduler.model import NodeInfo
from nanokube.scheduler.storage import Plan, Storage

CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
WAIT_S = 600.0


class NotBound(Exception):
    """The claims of a Pod did not get their volumes: it must be decided on anew."""


async def bind(client: ApiClient, storage: Storage, plan: Plan, node: Callable[[], NodeInfo | None]) -> None:
    """Reserve the volumes, ask for new ones, wait. node: where the Pod goes, while both of them are there.

    Raises NotBound, ApiError, OSError.
    """
    for claim, volume in plan.bind:
        wanted = volume_binding.reserved(volume, claim)
        if wanted != volume:
            await client.update(VOLUMES, wanted)
    for claim in plan.provision:
        annotations = {**objects.annotations(claim), volume_binding.SELECTED_NODE: plan.node}
        if annotations != objects.annotations(claim):
            wanted = {**claim, "metadata": {**claim["metadata"], "annotations": annotations}}
            await client.update(CLAIMS, wanted)
    try:
        async with asyncio.timeout(WAIT_S):
            while not _is_done(storage, plan, node()):
                await storage.change()
    except TimeoutError as err:
        raise NotBound("timed out") from err


def _is_done(storage: Storage, plan: Plan, node: NodeInfo | None) -> bool:
    """Tell whether every claim is bound. Raises NotBound once that cannot come to be."""
    if node is None:
        raise NotBound("the pod or its node does not exist any more")
    done = True
    for claim in (*(claim for claim, _ in plan.bind), *plan.provision):
        found = storage.claims.get(objects.key(claim))
        if found is None or objects.uid(found) != objects.uid(claim):
            raise NotBound(f'persistentvolumeclaim "{objects.name(claim)}" does not exist any more')
        is_new = objects.resource_version(found) != objects.resource_version(claim)
        chosen = objects.annotations(found).get(volume_binding.SELECTED_NODE)
        if claim in plan.provision and is_new and chosen != plan.node:
            raise NotBound(f'provisioning failed for PVC "{objects.name(claim)}"')
        volume = storage.volumes.get(objects.spec(found).get("volumeName") or "")
        if volume is not None and not volume_binding.is_reachable(volume, node.labels):
            cause = f'node affinity doesn\'t match node "{plan.node}"'
            raise NotBound(f'pv "{objects.name(volume)}" {cause}')
        done = done and volume is not None and volume_binding.is_bound(found)
    return done
