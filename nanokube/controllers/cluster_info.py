"""Tells hosts that join what cluster this is: ConfigMaps cluster-info, which each token signs, and settings.

Source: pkg/controller/bootstrap/bootstrapsigner.go, kubeadm phases/bootstraptoken/clusterinfo.
"""

import base64
import json
from typing import Any, Never

import yaml

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import informer, runner
from nanokube.controllers.env import Env, Options
from nanokube.kit import tasks

CONFIG_MAPS = resources.get("configmaps")
SECRETS = resources.get("secrets")
SETTINGS_KEY = "settings"
_INFO = objects.join_key(tokens.CLUSTER_INFO_NAMESPACE, tokens.CLUSTER_INFO)
_SETTINGS = objects.join_key(tokens.NAMESPACE, tokens.SETTINGS)


class ClusterInfoController:
    """Keeps both ConfigMaps, and in cluster-info a signature for every token that lives."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._config_maps = env.informers.of(CONFIG_MAPS)
        self._secrets = token_secrets(env)
        self.runner = runner.Runner("cluster-info", self.reconcile, workers=1)
        self.runner.watches(self._config_maps, _own_key)
        self.runner.watches(self._secrets, lambda _secret: [_INFO])

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        for key in (_INFO, _SETTINGS):
            self.runner.queue.add(key)
        await run_with_secrets(self._secrets, self.runner)

    async def reconcile(self, key: str) -> float | None:
        """Bring one of the ConfigMaps to what it should say; come back when a token's time ends."""
        live = self._config_maps.get(key)
        known = {found.token_id: found for each in self._secrets.list() if (found := tokens.of_secret(each))}
        now = self._env.clock.time()
        if key == _INFO:
            wanted = info_data(live, self._env.options, known, now)
        else:
            wanted = settings_data(live, self._env.options)
        if wanted is not None:
            await self._write(key, live, wanted)
        ends = [token.expires - now for token in known.values() if token.expires and token.expires > now]
        return min(ends, default=None) if key == _INFO else None

    async def _write(self, key: str, live: Object | None, data: dict[str, str]) -> None:
        try:
            if live is not None:
                await self._env.client.update(CONFIG_MAPS, {**live, "data": data})
                return
            namespace, name = objects.split_key(key)
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": namespace},
            }
            await self._env.client.create(CONFIG_MAPS, {**body, "data": data})
        except errors.ApiError as err:
            if err.code != 409:  # somebody else wrote it: the cache will show
                raise


def token_secrets(env: Env) -> informer.Informer:
    """Return an informer of the Secrets among which tokens are; it is not run yet."""
    return informer.Informer(env.client, SECRETS, tokens.NAMESPACE)


async def run_with_secrets(secrets: informer.Informer, reconciling: runner.Runner) -> Never:
    """Run a controller together with the informer that it alone uses."""
    await tasks.all_of(secrets.run(), reconciling.run())
    raise AssertionError("controllers never end")


def info_data(
    live: Object | None, options: Options, known: dict[str, tokens.BootstrapToken], now: float
) -> dict[str, str] | None:
    """Return what cluster-info should hold, None if it does. Pure.

    An address that somebody wrote there, of a load balancer perhaps, stays while the authority is the same.
    """
    data: dict[str, str] = dict((live or {}).get("data") or {})
    content = data.get(tokens.KUBECONFIG_KEY, "")
    if _authority_of(content) != options.root_ca:
        if not options.server or not options.root_ca:
            return None
        content = kubeconfig(options.server, options.root_ca)
    kept = {key: value for key, value in data.items() if not key.startswith(tokens.SIGNATURE_PREFIX)}
    wanted = {**kept, tokens.KUBECONFIG_KEY: content, **tokens.signatures(content, known, now)}
    return wanted if wanted != data else None


def settings_data(live: Object | None, options: Options) -> dict[str, str] | None:
    """Return what nanokube-config should hold, None if it does or nothing is to be published. Pure."""
    if not options.shared_settings:
        return None
    data: dict[str, str] = dict((live or {}).get("data") or {})
    wanted = {**data, SETTINGS_KEY: json.dumps(dict(options.shared_settings), indent=2, sort_keys=True)}
    return wanted if wanted != data else None


def kubeconfig(server: str, authority: str) -> str:
    """Render a kubeconfig (YAML) that names a cluster and nobody's credentials."""
    cluster = {"certificate-authority-data": base64.b64encode(authority.encode()).decode(), "server": server}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"cluster": cluster, "name": ""}],
        "contexts": None,
        "current-context": "",
        "users": None,
    }
    return yaml.safe_dump(document)


def _authority_of(content: str) -> str:
    try:
        document: Any = yaml.safe_load(content)
        return base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    except (yaml.YAMLError, ValueError, TypeError, LookupError):
        return ""


def _own_key(config_map: Object) -> list[str]:
    key = objects.key(config_map)
    return [key] if key in (_INFO, _SETTINGS) else []
