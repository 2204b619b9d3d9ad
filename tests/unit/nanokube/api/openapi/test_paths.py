"""Paths of the OpenAPI documents."""

from __future__ import annotations

from nanokube.api import resources
from nanokube.api.openapi import paths


def test_a_path_lists_only_parameters_that_it_has() -> None:
    for made in (paths.v2(resources.ALL), paths.v3(resources.ALL)):
        assert "parameters" not in made["/api/v1/nodes"]  # an empty list does not survive Go's encoding
        pod = made["/api/v1/namespaces/{namespace}/pods/{name}"]
        assert {p["name"] for p in pod["parameters"]} == {"namespace", "name"}


def test_no_list_of_parameters_is_empty() -> None:
    for made in (paths.v2(resources.ALL), paths.v3(resources.ALL)):
        for path, entry in made.items():
            for part in (entry, *(o for o in entry.values() if isinstance(o, dict))):
                assert part.get("parameters") != [], path
