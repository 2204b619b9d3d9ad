"""Claims, volumes and storage classes as the scheduler sees them, with what it has planned for them itself.

A plan counts from the decision on, before the server has heard of it, so that no other Pod gets its volumes;
forget() takes it back once it is carried out, or has failed.
"""

import asyncio
import dataclasses
from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.client.store import Store


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen to a Pod's claims for it to run on a node.

    bind: claims with the volumes they get. provision: claims that get a new volume there.
    """

    node: str
    bind: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = ()
    provision: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(slots=True)
class Storage:
    """The caches, filled by informers, and the plans under way, by the Pod's UID."""

    claims: Store = dataclasses.field(default_factory=Store)
    volumes: Store = dataclasses.field(default_factory=Store)
    classes: Store = dataclasses.field(default_factory=Store)
    _plans: dict[str, Plan] = dataclasses.field(default_factory=dict)
    _news: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def assume(self, uid: str, plan: Plan) -> None:
        """Count a plan as carried out."""
        self._plans[uid] = plan

    def forget(self, uid: str) -> None:
        """Count a plan no more."""
        self._plans.pop(uid, None)

    def planned_claim(self, volume: Object) -> str:
        """Name the claim ("namespace/name") that is to get a volume; "" for none."""
        name = objects.name(volume)
        pairs = (pair for plan in self._plans.values() for pair in plan.bind)
        return next((objects.key(claim) for claim, found in pairs if objects.name(found) == name), "")

    def planned_volume(self, claim: Object) -> str:
        """Name the volume that a claim is to get; "" for none."""
        key = objects.key(claim)
        pairs = (pair for plan in self._plans.values() for pair in plan.bind)
        return next((objects.name(found) for each, found in pairs if objects.key(each) == key), "")

    def planned_node(self, claim: Object) -> str:
        """Name the node where a claim's volume is to be made; "" for none."""
        key = objects.key(claim)
        pairs = ((plan.node, each) for plan in self._plans.values() for each in plan.provision)
        return next((node for node, each in pairs if objects.key(each) == key), "")

    def tell(self) -> None:
        """Wake those that wait for a change."""
        self._news.set()
        self._news = asyncio.Event()

    async def change(self) -> None:
        """Wait for the next change."""
        await self._news.wait()
