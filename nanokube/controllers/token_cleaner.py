"""Deletes bootstrap tokens whose time is over.

Source: pkg/controller/bootstrap/tokencleaner.go.
"""

from typing import Never

from nanokube.api import bootstrap_tokens, errors, objects
from nanokube.client import runner
from nanokube.controllers import cluster_info
from nanokube.controllers.env import Env


class TokenCleaner:
    """Waits for each token's end."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._secrets = cluster_info.token_secrets(env)
        self.runner = runner.Runner("token-cleaner", self.reconcile, workers=1)
        self.runner.watches(self._secrets)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await cluster_info.run_with_secrets(self._secrets, self.runner)

    async def reconcile(self, key: str) -> float | None:
        """Delete one token if it has expired; else come back when it will have."""
        secret = self._secrets.get(key)
        token = bootstrap_tokens.of_secret(secret) if secret is not None else None
        if secret is None or token is None or token.expires is None:
            return None
        left_s = token.expires - self._env.clock.time()
        if left_s > 0:
            return left_s
        namespace, name = objects.split_key(key)
        try:
            await self._env.client.delete(cluster_info.SECRETS, name, namespace, uid=objects.uid(secret))
        except errors.ApiError as err:
            if err.code not in (404, 409):
                raise
        return None
