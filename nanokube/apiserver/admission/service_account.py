"""ServiceAccount: every Pod runs as one, and finds its token, the cluster's CA and its namespace mounted.

Source: plugin/pkg/admission/serviceaccount/admission.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from nanokube.api import errors
from nanokube.apiserver.admission import chain

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX: Final = "kube-api-access-"
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
# A controller makes "default" soon after its namespace: wait for it, as upstream does, up to ten times.
_ATTEMPTS: Final = 10
_RETRY_S: Final = 0.15


class ServiceAccount(chain.Plugin):
    """find: storage name and key to the live object. suffix: draws five letters for the volume's name."""

    made_of: ClassVar[Sequence[str]] = ("serviceaccounts",)

    def __init__(
        self, find: Callable[[str, str], Mapping[str, Any] | None], suffix: Callable[[], str]
    ) -> None:
        self._find = find
        self._suffix = suffix

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return (operation, resource, subresource) == (chain.CREATE, "pods", "")

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Set the account and mount its token."""
        a = attributes
        if a.resource.name != "pods" or a.subresource or a.operation != chain.CREATE or a.obj is None:
            return
        spec = a.obj.setdefault("spec", {})
        if MIRROR_ANNOTATION in (a.obj["metadata"].get("annotations") or {}):
            _check_mirror(a, spec)
            return
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(a, name)
        automount = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken"))
        if automount is not False:
            _mount(spec, VOLUME_PREFIX + self._suffix())
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [{"name": ref["name"]} for ref in account["imagePullSecrets"]]

    async def _account(self, a: chain.Attributes, name: str) -> Mapping[str, Any]:
        for attempt in range(_ATTEMPTS if name == "default" else 1):
            if attempt:
                await asyncio.sleep(_RETRY_S)
            account = self._find("serviceaccounts", f"{a.namespace}/{name}")
            if account is not None:
                return account
        cause = f'error looking up service account {a.namespace}/{name}: serviceaccount "{name}" not found'
        raise errors.forbidden(a.resource, a.name, cause)


def _check_mirror(a: chain.Attributes, spec: Mapping[str, Any]) -> None:
    """A mirror Pod stands for a file on a node, and may not refer to objects of the API."""
    if spec.get("serviceAccountName"):
        raise errors.forbidden(a.resource, a.name, "a mirror pod may not reference service accounts")
    for volume in spec.get("volumes") or ():
        if volume.get("secret"):
            raise errors.forbidden(a.resource, a.name, "a mirror pod may not reference secrets")
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("serviceAccountToken"):
                cause = "a mirror pod may not use ServiceAccountToken volume projections"
                raise errors.forbidden(a.resource, a.name, cause)


def _mount(spec: dict[str, Any], volume_name: str) -> None:
    volumes = spec.setdefault("volumes", [])
    existing = next((v["name"] for v in volumes if v.get("name", "").startswith(VOLUME_PREFIX)), "")
    mount = {"name": existing or volume_name, "readOnly": True, "mountPath": MOUNT_PATH}
    is_needed = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.setdefault("volumeMounts", [])
        if all(m.get("mountPath") != MOUNT_PATH for m in mounts):
            mounts.append(dict(mount))
            is_needed = True
    if is_needed and not existing:
        volumes.append({"name": volume_name, "projected": token_volume()})
    if not volumes:
        del spec["volumes"]


def token_volume() -> dict[str, Any]:
    """Build the projected volume of an account: token, CA, namespace."""
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
        ],
    }
