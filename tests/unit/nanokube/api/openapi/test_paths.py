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


def test_generated_clients_get_upstreams_names_codes_and_bodies() -> None:
    made = paths.v2(resources.ALL)
    maps = made["/api/v1/namespaces/{namespace}/configmaps"]
    assert maps["delete"]["operationId"] == "deleteCoreV1CollectionNamespacedConfigMap"
    assert list(maps["post"]["responses"]) == ["200", "201", "202", "401"]
    assert maps["post"]["parameters"][0]["required"] is True
    one = made["/api/v1/namespaces/{namespace}/configmaps/{name}"]
    codes = {method: list(one[method]["responses"]) for method in ("get", "put", "patch", "delete")}
    assert codes == {
        "get": ["200", "401"],
        "put": ["200", "201", "401"],
        "patch": ["200", "201", "401"],
        "delete": ["200", "202", "401"],
    }
    assert "required" not in one["delete"]["parameters"][0]
    schemas = made["/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"]
    assert schemas["get"]["operationId"] == "listFlowcontrolApiserverV1FlowSchema"
    assert schemas["get"]["tags"] == ["flowcontrolApiserver_v1"]
    create = paths.v3(resources.ALL)["/api/v1/namespaces/{namespace}/configmaps"]["post"]
    assert create["requestBody"]["required"] is True
    assert create["responses"]["201"]["description"] == "Created"
