"""Strategy of Deployments. Pure. Source: pkg/registry/apps/deployment/strategy.go."""

from __future__ import annotations

from typing import Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules


class DeploymentRules(Rules):
    """Annotations count as a new generation, because they are copied to ReplicaSets."""

    status_keeps_metadata = ("labels",)

    def is_new_generation(self, new: Object, old: Object) -> bool:
        """Compare spec and annotations."""
        return super().is_new_generation(new, old) or objects.annotations(new) != objects.annotations(old)


RULES: Final = DeploymentRules()
