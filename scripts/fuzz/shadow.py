"""What the server has acknowledged, to be compared with what it has in the end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nanokube.api import resources
from nanokube.api.resources import Resource

Object = dict[str, Any]
Key = tuple[str, str, str]  # storage name of the resource, namespace, name

# objects that the server itself writes, too: books of quotas, addresses of Services, status of flow control
_SHARED: Final = frozenset(
    {
        "clusterroles.rbac.authorization.k8s.io",
        "flowschemas.flowcontrol.apiserver.k8s.io",
        "ipaddresses.networking.k8s.io",
        "pods",
        "poddisruptionbudgets.policy",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        "resourcequotas",
        "servicecidrs.networking.k8s.io",
    }
)


class Shadow:
    """The last acknowledged state of each object."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}

    def put(self, resource: Resource, obj: Object) -> Key | None:
        """Take an answered object, unless a later one is known."""
        metadata = obj.get("metadata") or {}
        if not metadata.get("name") or not str(metadata.get("resourceVersion", "")).isdigit():
            return None
        key = (resource.storage_name, metadata.get("namespace", ""), metadata["name"])
        old = self.objects.get(key)
        if old is None or version(old) <= version(obj):
            self.objects[key] = obj
        return key

    def drop(self, key: Key) -> None:
        """Take the acknowledgement that an object is gone."""
        self.objects.pop(key, None)

    def differences(self, found: Mapping[Key, Object], mine: Iterable[str]) -> list[str]:
        """Compare with all that the server lists. mine: prefixes of names and namespaces of this run."""
        prefixes = tuple(mine)
        problems = [text for key, obj in self.objects.items() if (text := _differs(key, obj, found.get(key)))]
        for key in found.keys() - self.objects.keys():
            if (key[1] or key[2]).startswith(prefixes) and key[0] not in _SHARED:
                problems.append(f"{key}: exists, though its deletion was acknowledged or its creation never")
        return problems


def _differs(key: Key, obj: Object, live: Object | None) -> str:
    if live is None:
        return f"{key}: lost, acknowledged at {version(obj)}" if key[0] not in _SHARED else ""
    if version(live) < version(obj):
        return f"{key}: went back from {version(obj)} to {version(live)}"
    if version(live) > version(obj):
        return (
            "" if key[0] in _SHARED else f"{key}: moved on from {version(obj)} to {version(live)} by itself"
        )
    is_other_version = resources.get(key[0]).api_version != obj.get("apiVersion")
    if not is_other_version and _body(live) != _body(obj):
        return f"{key}: differs from what was acknowledged at {version(obj)}"
    return ""


def version(obj: Object) -> int:
    """Read an object's resourceVersion."""
    return int(obj["metadata"]["resourceVersion"])


def _body(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
