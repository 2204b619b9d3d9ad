"""Paths of the OpenAPI documents."""

from __future__ import annotations

import json

from nanokube.api import openapi, resources
from nanokube.api.openapi import paths


def test_a_path_lists_only_parameters_that_it_has() -> None:
    for made in (paths.v2(resources.ALL), paths.v3(resources.ALL)):
        assert [p["name"] for p in made["/api/v1/nodes"]["parameters"]] == ["pretty"]
        pod = made["/api/v1/namespaces/{namespace}/pods/{name}"]
        assert {p["name"] for p in pod["parameters"]} == {"namespace", "name", "pretty"}
        assert pod["parameters"][0]["description"] == "name of the Pod"


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


def test_connections_are_named_and_answered_as_such() -> None:
    made = paths.v2(resources.ALL)
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    run = made[f"{pod}/exec"]
    assert run["get"]["operationId"] == "connectCoreV1GetNamespacedPodExec"
    assert run["post"]["x-kubernetes-action"] == "connect"
    assert run["post"]["x-kubernetes-group-version-kind"]["kind"] == "PodExecOptions"
    asked = {"command", "container", "stderr", "stdin", "stdout", "tty"}
    assert {p["name"] for p in run["parameters"]} == {"namespace", "name", *asked}
    assert all("parameters" not in run[method] for method in ("get", "post"))
    for path, title in ((f"{pod}/proxy", "PodProxy"), (f"{pod}/proxy/{{path}}", "PodProxyWithPath")):
        methods = made[path].keys() - {"parameters"}
        assert methods == {"delete", "get", "head", "options", "patch", "post", "put"}
        assert made[path]["head"]["operationId"] == f"connectCoreV1HeadNamespaced{title}"
    log = made[f"{pod}/log"]["get"]
    assert (log["operationId"], log["produces"][0]) == ("readCoreV1NamespacedPodLog", "text/plain")
    assert log["responses"]["200"]["schema"] == {"type": "string"}


def test_media_types_are_those_that_are_served() -> None:
    made = paths.v2(resources.ALL)["/api/v1/nodes"]
    served = [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
    ]
    assert made["post"]["produces"] == served
    assert made["get"]["produces"][:4] == served
    assert "application/json;stream=watch" in made["get"]["produces"]
    created = paths.v3(resources.ALL)["/api/v1/nodes"]["post"]["responses"]["201"]
    assert list(created["content"]) == served


def test_what_is_no_resource_is_described_too() -> None:
    made = json.loads(openapi.v2_document())
    groups = made["paths"]["/apis/rbac.authorization.k8s.io/"]["get"]
    assert groups["operationId"] == "getRbacAuthorizationAPIGroup"
    assert "x-kubernetes-group-version-kind" not in groups
    listed = made["paths"]["/apis/rbac.authorization.k8s.io/v1/"]["get"]["responses"]["200"]["schema"]
    assert listed["$ref"].rpartition("/")[2] in made["definitions"]
    assert made["paths"]["/version/"]["get"]["operationId"] == "getCodeVersion"
    assert list(json.loads(openapi.v3_documents()["apis/apps"])["paths"]) == ["/apis/apps/"]
    assert "/apis/apps/v1/" in json.loads(openapi.v3_documents()["apis/apps/v1"])["paths"]


def test_what_every_operation_asks_for_is_said_once() -> None:
    found = paths.v3(resources.ALL)
    listed = found["/api/v1/componentstatuses"]
    assert "parameters" not in listed["get"]
    assert {"watch", "limit", "pretty"} < {each["name"] for each in listed["parameters"]}
    collection = found["/api/v1/namespaces/{namespace}/configmaps"]
    assert {each["name"] for each in collection["parameters"]} == {"namespace", "pretty"}
    assert "limit" in {each["name"] for each in collection["get"]["parameters"]}


def test_a_document_names_kinds_of_every_version_for_its_own() -> None:
    document = json.loads(openapi.v3_document("apps", "v1") or b"")
    for name in ("DeleteOptions", "WatchEvent"):
        kinds = document["components"]["schemas"][f"io.k8s.apimachinery.pkg.apis.meta.v1.{name}"]
        found = [(e["group"], e["version"]) for e in kinds["x-kubernetes-group-version-kind"]]
        assert found == [("", "v1"), ("apps", "v1")]
