"""Strategy of Nodes. Pure. Source: pkg/registry/core/node/strategy.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.strategy.rules import Rules


class NodeRules(Rules):
    """A kubelet registers its Node with the status in it."""

    resets_status = False

    def on_create(self, obj: dict[str, Any]) -> None:
        """Drop what configured kubelets once (DynamicKubeletConfig, removed)."""
        (obj.get("spec") or {}).pop("configSource", None)


RULES: Final = NodeRules()
