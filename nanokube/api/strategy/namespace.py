"""Strategy of Namespaces. Pure. Source: pkg/registry/core/namespace/strategy.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules


class NamespaceRules(Rules):
    """A Namespace is held by the `kubernetes` finalizer until its controller has emptied it."""

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set phase and finalizer."""
        obj["status"] = {"phase": "Active"}
        spec = obj.setdefault("spec", {})
        finalizers = spec.setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """The spec changes by the finalize subresource only."""
        new["spec"] = objects.spec(old)


RULES: Final = NamespaceRules()


def finalize(new: dict[str, Any], old: Object) -> None:
    """Prepare an update of the finalize subresource: only `spec.finalizers` changes."""
    finalizers = list(objects.spec(new).get("finalizers") or ())
    new.clear()
    new.update(objects.copy(dict(old)))
    if finalizers:
        new["spec"] = {**objects.spec(old), "finalizers": finalizers}
    else:
        new["spec"] = {k: v for k, v in objects.spec(old).items() if k != "finalizers"}
