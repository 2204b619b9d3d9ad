"""Strategy of Nodes. Pure. Source: pkg/registry/core/node/strategy.go."""

from __future__ import annotations

from typing import Final

from nanokube.api.strategy.rules import Rules


class NodeRules(Rules):
    """A kubelet registers its Node with the status in it."""

    resets_status = False


RULES: Final = NodeRules()
