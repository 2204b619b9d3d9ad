"""CustomResourceDefinitions as they begin."""

from __future__ import annotations

from typing import Any

from nanokube.api.strategy import definition


def test_a_new_definition_has_names_that_clients_demand() -> None:
    crd: dict[str, Any] = {"spec": {"versions": [{"name": "v1", "storage": True}]}, "status": {}}
    definition.RULES.on_create(crd)
    assert crd["status"] == {"storedVersions": ["v1"], "acceptedNames": {"plural": "", "kind": ""}}
