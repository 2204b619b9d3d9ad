"""CustomResourceDefinitions: which versions may be stored is remembered. Pure.

Source: staging apiextensions-apiserver pkg/registry/customresourcedefinition/strategy.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import METADATA, Rules


class DefinitionRules(Rules):
    """The stored version joins those that were stored before."""

    status_keeps_metadata = METADATA

    def on_create(self, obj: dict[str, Any]) -> None:
        """Begin with the stored version, and with names that nobody has accepted yet: clients demand them."""
        _store(obj)
        names = {"plural": "", "kind": "", **((obj.get("status") or {}).get("acceptedNames") or {})}
        obj["status"] = {**(obj.get("status") or {}), "acceptedNames": names}

    def on_update(self, new: dict[str, Any], old: Object) -> None:
        """Add the stored version."""
        _store(new)


RULES: Final = DefinitionRules()


def _store(crd: dict[str, Any]) -> None:
    name = next((v["name"] for v in objects.spec(crd).get("versions") or () if v.get("storage")), None)
    stored = (crd.get("status") or {}).get("storedVersions") or []
    if name is not None and name not in stored:
        crd["status"] = {**(crd.get("status") or {}), "storedVersions": [*stored, name]}
