"""Strategy of ReplicaSets. Pure. Source: pkg/registry/apps/replicaset/strategy.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.strategy.rules import Rules


class ReplicaSetRules(Rules):
    """`status.replicas` is always there."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Start with no replicas observed."""
        obj["status"] = {"replicas": 0}


RULES: Final = ReplicaSetRules()
