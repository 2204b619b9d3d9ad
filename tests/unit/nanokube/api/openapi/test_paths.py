"""Paths of the OpenAPI documents."""

from __future__ import annotations

import json

from nanokube.api import openapi, resources
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


def test_operations_and_parameters_are_described() -> None:
    swagger = openapi.v2_document().decode()
    for text in ("list of returned", "List of services", "Watch for changes to the described resources"):
        assert text in swagger  # what upstream's command suite looks for
    services = json.loads(swagger)["paths"]["/api/v1/namespaces/{namespace}/services"]
    assert services["get"]["description"] == "list or watch Service"
    assert all(each["description"] for each in [*services["get"]["parameters"], *services["parameters"]])


def test_a_deletion_answers_the_object_where_the_server_does() -> None:
    made = paths.v3(resources.ALL)

    def answer(path: str) -> str:
        content = made[path]["delete"]["responses"]["200"]["content"]
        return str(content["application/json"]["schema"]["$ref"].rpartition(".")[2])

    one = "/api/v1/namespaces/{namespace}/"
    answers = [answer(f"{one}{kind}/{{name}}") for kind in ("services", "pods", "configmaps")]
    assert answers == ["Service", "Pod", "Status"]
    assert answer(f"{one}services") == "Status"
