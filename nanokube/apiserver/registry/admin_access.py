"""Who may have devices as their administrator: claims in namespaces that are labelled so.

Source: pkg/registry/resource/utils.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.apiserver.registry.hooks import Hooks

LABEL: Final = "resource.kubernetes.io/admin-access"
DEVICE_CLAIMS: Final = ("resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io")


class AdminAccess(Hooks):
    """Of ResourceClaims and their templates. find: storage name and key to the live object."""

    def __init__(self, find: Callable[[str, str], Mapping[str, Any] | None]) -> None:
        self._find = find

    def judge(self, new: Object, old: Object | None, subresource: str) -> list[FieldError]:
        """Refuse requests for such access, and allocations with it, outside labelled namespaces.

        A spec never changes, nor does an allocation: what was granted stays.
        """
        if old is None:
            path = _first("spec.devices.requests", (r.get("exactly") or {} for r in _requests(new)))
        elif subresource == "status" and not _first("", _results(old)):
            path = _first("status.allocation.devices.results", _results(new))
        else:
            return []
        if not path:
            return []
        namespace = self._find("namespaces", objects.namespace(new)) or {}
        if objects.labels(namespace).get(LABEL) == "true":
            return []
        detail = f"admin access to devices requires the `{LABEL}: true` label on the containing namespace"
        return [field.forbidden(path, detail)]


def _requests(obj: Object) -> Iterable[Mapping[str, Any]]:
    spec = objects.spec(obj)
    if "spec" in spec:  # of a template, whose path upstream tells as a claim's, too
        spec = spec["spec"] or {}
    return (spec.get("devices") or {}).get("requests") or ()


def _results(obj: Object) -> Iterable[Mapping[str, Any]]:
    allocation = objects.status(obj).get("allocation") or {}
    return (allocation.get("devices") or {}).get("results") or ()


def _first(path: str, asked: Iterable[Mapping[str, Any]]) -> str:
    found = (f"{path}[{index}].adminAccess" for index, each in enumerate(asked) if each.get("adminAccess"))
    return next(found, "")
