"""Every namespace has a ServiceAccount default and a ConfigMap kube-root-ca.crt.

Source: pkg/controller/serviceaccount/serviceaccounts_controller.go,
pkg/controller/certificates/rootcacertpublisher/publisher.go.
"""

from typing import Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

NAMESPACES = resources.get("namespaces")
SERVICE_ACCOUNTS = resources.get("serviceaccounts")
CONFIG_MAPS = resources.get("configmaps")
ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
ABOUT = "kubernetes.io/description"
ABOUT_ROOT_CA = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints "
    "such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes clusters."
)


class ServiceAccountController:
    """Makes both, and makes them again when they are deleted or changed."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._namespaces = env.informers.of(NAMESPACES)
        self._accounts = env.informers.of(SERVICE_ACCOUNTS)
        self._config_maps = env.informers.of(CONFIG_MAPS)
        self.runner = runner.Runner("serviceaccount", self.reconcile)
        self.runner.watches(self._namespaces)
        self.runner.watches(self._accounts, _namespace_if(ACCOUNT))
        self.runner.watches(self._config_maps, _namespace_if(ROOT_CA))

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Give one namespace what it must have."""
        namespace = self._namespaces.get(key)
        if namespace is None or objects.is_deleting(namespace):
            return None
        if objects.join_key(key, ACCOUNT) not in self._accounts:
            meta = {"name": ACCOUNT, "namespace": key}
            await self._create(
                SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
            )
        await self._publish_root_ca(key)
        return None

    async def _publish_root_ca(self, namespace: str) -> None:
        if not self._env.options.root_ca:
            return
        data = {"ca.crt": self._env.options.root_ca}
        existing = self._config_maps.get(objects.join_key(namespace, ROOT_CA))
        if existing is None:
            meta = {"name": ROOT_CA, "namespace": namespace, "annotations": {ABOUT: ABOUT_ROOT_CA}}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
            await self._create(CONFIG_MAPS, body)
        elif existing.get("data") != data:
            await self._env.client.update(CONFIG_MAPS, {**existing, "data": data})

    async def _create(self, resource: resources.Resource, body: Object) -> None:
        try:
            await self._env.client.create(resource, body)
        except errors.ApiError as err:
            # Forbidden: the namespace is being deleted, which the cache will show.
            if err.code not in (403, 409):
                raise


def _namespace_if(name: str) -> runner.KeysOf:
    def keys_of(obj: Object) -> list[str]:
        return [objects.namespace(obj)] if objects.name(obj) == name else []

    return keys_of
