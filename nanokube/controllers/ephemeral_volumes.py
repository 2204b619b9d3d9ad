"""Makes the claims of Pods' generic ephemeral volumes; they go with their Pod, which owns them.

Source: pkg/controller/volume/ephemeral/controller.go.
"""

from collections.abc import Iterator
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

PODS = resources.get("pods")
CLAIMS = resources.get("persistentvolumeclaims")


def wanted_claims(pod: Object) -> Iterator[dict[str, Any]]:
    """Build the claims that a Pod's ephemeral volumes ask for. Pure."""
    for volume in objects.spec(pod).get("volumes") or ():
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template is None:
            continue
        given = template.get("metadata") or {}
        metadata = {key: given[key] for key in ("labels", "annotations") if given.get(key)}
        metadata["name"] = f"{objects.name(pod)}-{volume['name']}"
        metadata["namespace"] = objects.namespace(pod)
        metadata["ownerReferences"] = [objects.controller_reference(pod)]
        yield {
            "apiVersion": CLAIMS.api_version,
            "kind": CLAIMS.kind,
            "metadata": metadata,
            "spec": template["spec"],
        }


def _keys_of_claim(claim: Object) -> list[str]:
    """Name the Pod whose claim this is: it may have been deleted."""
    owner = objects.controller_of(claim)
    if owner is None or owner["kind"] != PODS.kind:
        return []
    return [objects.join_key(objects.namespace(claim), owner["name"])]


class EphemeralVolumesController:
    """One claim a volume, made once."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pods = env.informers.of(PODS)
        self._claims = env.informers.of(CLAIMS)
        self.runner = runner.Runner("ephemeral-volume", self.reconcile)
        self.runner.watches(self._pods)
        self.runner.watches(self._claims, _keys_of_claim)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Make what one Pod lacks. Raises ApiError; LookupError where a claim of the name is another's."""
        pod = self._pods.get(key)
        if pod is None or objects.is_deleting(pod):
            return None
        for claim in wanted_claims(pod):
            try:
                await self._make(pod, claim)
            except (errors.ApiError, LookupError) as err:
                volume = objects.name(claim).removeprefix(f"{objects.name(pod)}-")
                self._env.events.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume}: {err}")
                raise
        return None

    async def _make(self, pod: Object, claim: dict[str, Any]) -> None:
        namespace, name = objects.namespace(pod), objects.name(claim)
        found = self._claims.get(objects.join_key(namespace, name))
        if found is None:
            await self._env.client.create(CLAIMS, claim)
        elif not objects.is_controlled_by(found, pod):
            whose = f"{namespace}/{objects.name(pod)}"
            raise LookupError(f"PVC {namespace}/{name} was not created for pod {whose} (pod is not owner)")
