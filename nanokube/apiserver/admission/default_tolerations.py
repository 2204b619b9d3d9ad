"""DefaultTolerationSeconds: a Pod stays five minutes on a node that is not ready or not reachable.

Source: plugin/pkg/admission/defaulttolerationseconds/admission.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from nanokube.apiserver.admission import chain

_SECONDS: Final = 300
_KEYS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(chain.Plugin):
    """Adds what the Pod does not say itself."""

    made_of: ClassVar[Sequence[str]] = ()

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return resource == "pods" and not subresource

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Add the two tolerations."""
        a = attributes
        if a.resource.name != "pods" or a.subresource or a.obj is None or a.operation == chain.DELETE:
            return
        found = a.obj.setdefault("spec", {}).get("tolerations") or []
        added = [_toleration(key) for key in _KEYS if not any(_covers(t, key) for t in found)]
        if added:
            a.obj.setdefault("spec", {})["tolerations"] = [*found, *added]


def _covers(toleration: dict[str, object], key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in ("NoExecute", None, "")


def _toleration(key: str) -> dict[str, object]:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
