"""Strategy of EndpointSlices. Pure. Source: pkg/registry/discovery/endpointslice/strategy.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules


class EndpointSliceRules(Rules):
    """There is no spec: everything but most of the metadata counts."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Drop the field of an older version, which this one only shows."""
        for endpoint in obj.get("endpoints") or ():
            endpoint.pop("deprecatedTopology", None)

    def is_new_generation(self, new: Object, old: Object) -> bool:
        """Compare the fields beside the metadata, and the labels."""
        after, before = ({k: v for k, v in o.items() if k != "metadata"} for o in (new, old))
        return after != before or objects.labels(new) != objects.labels(old)


RULES: Final = EndpointSliceRules()
