"""APIServices: those without a Service are served here, so that they are available. Pure.

Source: staging kube-aggregator pkg/registry/apiservice/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.strategy.rules import StatusOnlyRules


class ApiServiceRules(StatusOnlyRules):
    """A new one begins with a condition, if it is local."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Say that a local one is available."""
        if objects.spec(obj).get("service") is None:
            condition = {
                "type": "Available",
                "status": "True",
                "lastTransitionTime": objects.creation_timestamp(obj),
                "reason": "Local",
                "message": "Local APIServices are always available",
            }
            obj["status"] = {"conditions": [condition]}


RULES: Final = ApiServiceRules()
