"""Custom resources: served from their definition on, in several versions, until it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nanokube.api import objects
from tests.unit.nanokube.apiserver.conftest import Api
from tests.unit.nanokube.apiserver.custom_kinds import (
    CRDS,
    GADGETS,
    SCALE,
    SCHEMA,
    conditions,
    define,
    definition,
    gadget,
    lively,
    until,
    version,
)

FREE = {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


async def test_a_definition_is_established_and_served(api: Api) -> None:
    async with lively(api):
        assert (await api("GET", GADGETS)).code == 404
        found = (await define(api, definition(shortNames=["gd"], categories=["all"]))).json
        assert conditions(found) == {
            "NamesAccepted": ("True", "NoConflicts"),
            "Established": ("True", "InitialNamesAccepted"),
        }
        assert found["status"]["storedVersions"] == ["v1"]
        assert found["status"]["acceptedNames"] == {
            "plural": "gadgets",
            "singular": "gadget",
            "kind": "Gadget",
            "listKind": "GadgetList",
            "shortNames": ["gd"],
            "categories": ["all"],
        }
        made = await api("POST", GADGETS, gadget(size=2))
        assert made.code == 201, made.body
        assert made.json["spec"] == {"size": 2, "color": "red"}
        assert made.json["metadata"]["generation"] == 1
        assert (await api("GET", f"{GADGETS}/a")).json == made.json
        listed = (await api("GET", GADGETS)).json
        assert (listed["kind"], listed["apiVersion"]) == ("GadgetList", "example.com/v1")
        assert [i["metadata"]["name"] for i in listed["items"]] == ["a"]


async def test_a_condition_without_a_type_does_no_harm(api: Api) -> None:
    async with lively(api):
        crd = (await define(api, definition())).json
        crd["status"]["conditions"].insert(0, {"type": "", "status": "", "message": "by hand"})
        assert (await api("PUT", f"{CRDS}/gadgets.example.com/status", crd)).code == 200
        await asyncio.sleep(0.01)
        await define(api, definition(plural="gizmos"))


async def test_discovery_shows_it(api: Api) -> None:
    async with lively(api):
        await define(api, definition(version("v1beta1", is_stored=False), version("v1"), shortNames=["gd"]))
        group = (await api("GET", "/apis/example.com")).json
        assert [v["version"] for v in group["versions"]] == ["v1", "v1beta1"]
        assert group["preferredVersion"]["version"] == "v1"
        listed = (await api("GET", "/apis/example.com/v1")).json["resources"]
        assert [(r["name"], r["kind"], r["shortNames"]) for r in listed] == [("gadgets", "Gadget", ["gd"])]
        accept = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        document = await api("GET", "/apis", headers=accept)
        found = next(i for i in document.json["items"] if i["metadata"]["name"] == "example.com")
        kind = found["versions"][0]["resources"][0]["responseKind"]
        assert kind == {"group": "example.com", "version": "v1", "kind": "Gadget"}
        assert (await api("DELETE", f"{CRDS}/gadgets.example.com")).code == 200

        async def is_gone() -> bool:
            return (await api("GET", "/apis/example.com")).code == 404

        await until(is_gone)
        assert (await api("GET", "/apis", headers=accept)).headers.get("etag") != document.headers.get("etag")


async def test_group_versions_have_api_services(api: Api) -> None:
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    async with lively(api):
        await define(api, definition())
        await api.server.local_services.settle()
        found = (await api("GET", services)).json["items"]
        assert {"v1.", "v1.apps", "v2.autoscaling", "v1.example.com"} <= {
            i["metadata"]["name"] for i in found
        }
        accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        table = (await api("GET", f"{services}/v1.example.com", headers=accept)).json
        assert table["rows"][0]["cells"][:3] == ["v1.example.com", "Local", "True"]
        await api("DELETE", f"{CRDS}/gadgets.example.com")

        async def is_removed() -> bool:
            await api.server.local_services.settle()
            return (await api("GET", f"{services}/v1.example.com")).code == 404

        await until(is_removed)


async def test_names_that_are_taken_are_refused_until_they_are_free(api: Api) -> None:
    async with lively(api):
        await define(api, definition(shortNames=["gd"]))
        await api("POST", CRDS, definition(plural="gizmos", shortNames=["gd"]))

        async def has_conflict() -> dict[str, Any] | None:
            crd = (await api("GET", f"{CRDS}/gizmos.example.com")).json
            found = (crd.get("status") or {}).get("conditions") or ()
            return next((c for c in found if c["type"] == "NamesAccepted"), None)

        found = await until(has_conflict)
        assert (found["status"], found["reason"]) == ("False", "ShortNamesConflict")
        assert found["message"] == '"gd" is already in use'
        assert (await api("GET", "/apis/example.com/v1/gizmos")).code == 404
        await api("DELETE", f"{CRDS}/gadgets.example.com")

        async def is_served() -> bool:
            return (await api("GET", "/apis/example.com/v1/gizmos")).code == 200

        await until(is_served)


@pytest.mark.parametrize(
    ("spec", "option", "code", "message"),
    [
        (
            {"size": 0},
            "",
            422,
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal",
        ),
        ({"size": 1, "x": 1}, "Strict", 400, 'strict decoding error: unknown field "spec.x"'),
        ({"size": 1, "x": 1}, "Warn", 201, ""),
    ],
)
async def test_objects_are_checked(
    api: Api, spec: dict[str, Any], option: str, code: int, message: str
) -> None:
    async with lively(api):
        await define(api, definition())
        reply = await api("POST", f"{GADGETS}?fieldValidation={option}", gadget(**spec))
        assert reply.code == code, reply.body
        assert message in reply.json.get("message", "")
        if code == 201:
            assert "x" not in reply.json["spec"]
            assert "spec.x" in reply.headers.get("warning")


async def test_status_is_written_by_its_own_endpoint(api: Api) -> None:
    async with lively(api):
        await define(api, definition(version("v1", subresources={"status": {}})))
        made = await api("POST", GADGETS, {**gadget(size=1), "status": {"replicas": 3}})
        assert "status" not in made.json
        wanted = {**made.json, "status": {"replicas": 2}, "spec": {"size": 9}}
        wrote = await api("PUT", f"{GADGETS}/a/status", wanted)
        assert wrote.code == 200, wrote.body
        assert (wrote.json["status"], wrote.json["spec"]["size"]) == ({"replicas": 2}, 1)
        assert wrote.json["metadata"]["generation"] == 1
        merge = {"content_type": "application/merge-patch+json"}
        patched = await api("PATCH", f"{GADGETS}/a", {"spec": {"size": 5}, "status": None}, **merge)
        assert (patched.json["status"], patched.json["metadata"]["generation"]) == ({"replicas": 2}, 2)
        no_version = await api("PUT", f"{GADGETS}/a", gadget(size=3))
        assert no_version.code == 422
        assert "metadata.resourceVersion: Invalid value: 0: must be specified" in no_version.json["message"]
        strategic = await api(
            "PATCH", f"{GADGETS}/a", {}, content_type="application/strategic-merge-patch+json"
        )
        assert strategic.code == 415


async def test_scale(api: Api) -> None:
    async with lively(api):
        await define(api, definition(version("v1", subresources={"status": {}, "scale": SCALE})))
        await api("POST", GADGETS, gadget(size=1, replicas=3))
        found = (await api("GET", f"{GADGETS}/a/scale")).json
        assert (found["kind"], found["spec"], found["status"]) == ("Scale", {"replicas": 3}, {"replicas": 0})
        wrote = await api("PUT", f"{GADGETS}/a/scale", {**found, "spec": {"replicas": 5}})
        assert (wrote.code, wrote.json["spec"]) == (200, {"replicas": 5})
        assert (await api("GET", f"{GADGETS}/a")).json["spec"]["replicas"] == 5


async def test_server_side_apply(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        options = {"content_type": "application/apply-patch+yaml"}
        made = await api("PATCH", f"{GADGETS}/a?fieldManager=one", gadget(size=1), **options)
        assert made.code == 201, made.body
        entry = made.json["metadata"]["managedFields"][0]
        assert (entry["manager"], entry["fieldsV1"]) == ("one", {"f:spec": {"f:size": {}}})
        refused = await api("PATCH", f"{GADGETS}/a?fieldManager=two", gadget(size=2), **options)
        assert refused.code == 409
        forced = await api("PATCH", f"{GADGETS}/a?fieldManager=two&force=true", gadget(size=2), **options)
        assert forced.json["spec"]["size"] == 2


@pytest.mark.parametrize("has_status", [True, False])
async def test_who_applies_a_status_owns_it_unless_it_has_an_endpoint(api: Api, has_status: bool) -> None:
    async with lively(api):
        subresources: dict[str, Any] = {"status": {}} if has_status else {}
        await define(api, definition(version("v1", subresources=subresources)))
        options = {"content_type": "application/apply-patch+yaml"}
        applied = {**gadget(size=1), "status": {"selector": "a"}}
        made = await api("PATCH", f"{GADGETS}/a?fieldManager=one", applied, **options)
        fields = made.json["metadata"]["managedFields"][0]["fieldsV1"]
        assert ("f:status" in fields, "status" in made.json) == (not has_status, not has_status)
        other = {**gadget(), "status": {"selector": "b"}}
        refused = await api("PATCH", f"{GADGETS}/a?fieldManager=two", other, **options)
        assert refused.code == (200 if has_status else 409)
        posted = await api("POST", GADGETS, {**gadget("b", size=1), "status": {"selector": "a"}})
        assert ("f:status" in posted.json["metadata"]["managedFields"][0]["fieldsV1"]) is not has_status


async def test_unknown_formats_and_plain_finalizers_are_warned_of(api: Api) -> None:
    async with lively(api):
        odd = version("v1")
        odd["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "string"}}}}
        odd["schema"]["openAPIV3Schema"]["properties"]["spec"]["format"] = "odd"
        made = await api("POST", CRDS, definition(odd))
        assert made.headers.get("warning") == '299 - "unrecognized format \\"odd\\""'
        await define(api, definition(plural="widgets"))
        path = GADGETS.replace("gadgets", "widgets")
        widget = {**gadget(size=1), "kind": "Widget"}
        widget["metadata"] = {"name": "a", "finalizers": ["mine"]}
        said = (await api("POST", path, widget)).headers.get("warning")
        assert 'metadata.finalizers: \\"mine\\": prefer a domain-qualified finalizer name' in said
        merge = "application/merge-patch+json"
        change = {"metadata": {"finalizers": ["mine", "yours"]}}
        patched = await api("PATCH", f"{path}/a", change, content_type=merge)
        assert "yours" in patched.headers.get("warning")
        assert "mine" not in patched.headers.get("warning")


async def test_a_new_object_has_the_defaults_of_its_status(api: Api) -> None:
    async with lively(api):
        begun = version("v1", subresources={"status": {}})
        schema: dict[str, Any] = objects.copy(SCHEMA)
        schema["properties"]["status"]["default"] = {"selector": "none"}
        begun["schema"] = {"openAPIV3Schema": schema}
        await define(api, definition(begun))
        made = await api("POST", GADGETS, {**gadget(size=1), "status": {"replicas": 3}})
        assert made.json["status"] == {"selector": "none"}
        assert (await api("GET", f"{GADGETS}/a")).json["status"] == {"selector": "none"}


async def test_refusals_carry_warnings(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        refused = await api("POST", GADGETS, gadget(size=0, nonsense=1))
        assert refused.code == 422
        assert "unknown field" in refused.headers.get("warning")


async def test_managers_of_nothing_else_of_the_metadata(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        await api("POST", f"{GADGETS}?fieldManager=one", gadget(size=1))
        change, merge = {"metadata": {"finalizers": ["a.b/c"]}}, "application/merge-patch+json"
        made = await api("PATCH", f"{GADGETS}/a?fieldManager=two", change, content_type=merge)
        entry = made.json["metadata"]["managedFields"][1]
        assert entry["fieldsV1"] == {"f:metadata": {"f:finalizers": {".": {}, 'v:"a.b/c"': {}}}}
        whole = gadget(size=2, color="blue")
        apply = "application/apply-patch+yaml"
        taken = await api("PATCH", f"{GADGETS}/a?fieldManager=three&force=true", whole, content_type=apply)
        left = {e["manager"]: e["fieldsV1"] for e in taken.json["metadata"]["managedFields"]}
        assert left["one"] == {"f:spec": {}}


async def test_nobody_sets_the_metadata_as_such(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        obj = gadget(size=1)
        obj["metadata"]["labels"] = {"a": "b"}
        made = await api("POST", GADGETS, obj)
        fields = made.json["metadata"]["managedFields"][0]["fieldsV1"]
        assert fields["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}


async def test_versions_show_the_same_objects(api: Api) -> None:
    async with lively(api):
        other = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer"}, "shape": {"type": "string", "default": "round"}}}}}  # fmt: skip
        second = {**version("v2", is_stored=False), "schema": {"openAPIV3Schema": other}}
        await define(api, definition(version("v1"), second))
        newer = GADGETS.replace("/v1/", "/v2/")
        assert (await api("POST", GADGETS, gadget(size=1))).code == 201
        found = (await api("GET", f"{newer}/a")).json
        assert (found["apiVersion"], found["spec"]) == ("example.com/v2", {"size": 1, "shape": "round"})
        listed = (await api("GET", newer)).json["items"]
        assert [i["spec"] for i in listed] == [{"size": 1, "shape": "round"}]
        made = await api("POST", newer, gadget("b", "example.com/v2", size=2))
        assert (made.code, made.json["apiVersion"]) == (201, "example.com/v2"), made.body
        assert (await api("GET", f"{GADGETS}/b")).json["spec"] == {"size": 2, "color": "red"}
        merge = {"content_type": "application/merge-patch+json"}
        patched = await api("PATCH", f"{newer}/b", {"spec": {"size": 7}}, **merge)
        assert (patched.code, patched.json["spec"]["size"]) == (200, 7), patched.body
        assert (await api("GET", f"{GADGETS}/b")).json["spec"]["size"] == 7
        assert api.store is not None


async def test_stored_objects_get_the_defaults_of_a_new_schema(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        await api("POST", GADGETS, gadget(size=1))
        crd = (await api("GET", f"{CRDS}/gadgets.example.com")).json
        spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"]["weight"] = {"type": "integer", "default": 7}
        del spec["properties"]["color"]
        assert (await api("PUT", f"{CRDS}/gadgets.example.com", crd)).code == 200
        assert (await api("GET", f"{GADGETS}/a")).json["spec"] == {"size": 1, "weight": 7}
        assert (await api("GET", GADGETS)).json["items"][0]["spec"] == {"size": 1, "weight": 7}


async def test_what_is_nested_too_deeply_is_refused(api: Api) -> None:
    async with lively(api):
        crd = definition()
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        crd["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {**schema, "properties": FREE}}
        await define(api, crd)
        for depth, code in ((200, 201), (300, 400), (900, 400), (5000, 400)):
            nested = b'{"a":' * depth + b"1" + b"}" * depth
            about = b'{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"d"},"spec":'
            reply = await api("POST", GADGETS, about + nested + b"}")
            assert reply.code == code, reply.json


async def test_deprecated_versions_say_so(api: Api) -> None:
    async with lively(api):
        older = version("v1beta1", is_stored=False, deprecated=True)
        await define(api, definition(version("v1"), older))
        path = GADGETS.replace("/v1/", "/v1beta1/")
        for reply in (
            await api("GET", path),
            await api("POST", path, gadget(api_version="example.com/v1beta1", size=1)),
            await api("GET", f"{path}/a"),
        ):
            assert "example.com/v1beta1 Gadget is deprecated" in reply.headers.get("warning")
        assert not (await api("GET", f"{GADGETS}/a")).headers.get("warning")


async def test_watches_tell_of_changes_and_end_with_the_definition(api: Api) -> None:
    async with lively(api):
        await define(api, definition(version("v1"), version("v2", is_stored=False)))
        async with asyncio.TaskGroup() as group:
            stream = await api.watch(f"{GADGETS.replace('/v1/', '/v2/')}?watch=1", group)
            await api("POST", GADGETS, gadget(size=1))
            await api("DELETE", f"{GADGETS}/a")
            seen = [(e["type"], e["object"]["apiVersion"]) for e in stream.events]
            assert seen == [("ADDED", "example.com/v2"), ("DELETED", "example.com/v2")]
            await api("DELETE", f"{CRDS}/gadgets.example.com")
        # the group ends: the watch did


async def test_the_end_takes_the_objects_along(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        held = gadget("held", size=1)
        held["metadata"]["finalizers"] = ["example.com/wait"]
        await api("POST", GADGETS, held)
        await api("POST", GADGETS, gadget(size=1))
        ended = await api("DELETE", f"{CRDS}/gadgets.example.com")
        assert ended.json["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]

        async def is_emptied() -> bool:
            found = (await api("GET", GADGETS)).json["items"]
            return [(i["metadata"]["name"], "deletionTimestamp" in i["metadata"]) for i in found] == [
                ("held", True)
            ]

        await until(is_emptied)
        refused = await api("POST", GADGETS, gadget("late", size=1))
        assert refused.code == 405
        assert "terminating" in refused.json["message"]
        (shown,) = (await api("GET", "/apis/example.com/v1")).json["resources"]
        assert shown["verbs"] == ["delete", "deletecollection", "get", "list", "watch"]
        crd = (await api("GET", f"{CRDS}/gadgets.example.com")).json
        assert conditions(crd)["Terminating"] == ("True", "InstanceDeletionInProgress")
        merge = {"content_type": "application/merge-patch+json"}
        await api("PATCH", f"{GADGETS}/held", {"metadata": {"finalizers": None}}, **merge)

        async def is_gone() -> bool:
            return (await api("GET", f"{CRDS}/gadgets.example.com")).code == 404

        await until(is_gone)
        assert (await api("GET", GADGETS)).code == 404


async def test_field_selectors_and_columns(api: Api) -> None:
    async with lively(api):
        columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
        more: dict[str, Any] = {
            "selectableFields": [{"jsonPath": ".spec.color"}],
            "additionalPrinterColumns": columns,
        }
        await define(api, definition(version("v1", **more)))
        await api("POST", GADGETS, gadget("a", size=1))
        await api("POST", GADGETS, gadget("b", size=2, color="blue"))
        found = (await api("GET", f"{GADGETS}?fieldSelector=spec.color%3Dblue")).json["items"]
        assert [i["metadata"]["name"] for i in found] == ["b"]
        assert (await api("GET", f"{GADGETS}?fieldSelector=spec.size%3D1")).code == 400
        accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        table = (await api("GET", GADGETS, headers=accept)).json
        assert [row["cells"] for row in table["rows"]] == [["a", 1], ["b", 2]]


async def test_quotas_count_them(api: Api) -> None:
    quotas, hard = "/api/v1/namespaces/default/resourcequotas", {"count/gadgets.example.com": "1"}
    async with lively(api):
        await define(api, definition())
        await api("POST", quotas, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
        status = {"hard": hard, "used": {"count/gadgets.example.com": "0"}}
        merge = "application/merge-patch+json"
        assert (await api("PATCH", f"{quotas}/q/status", {"status": status}, content_type=merge)).code == 200
        assert (await api("POST", GADGETS, gadget(size=1))).code == 201
        over = await api("POST", GADGETS, gadget("b", size=1))
        assert (over.code, "exceeded quota: q" in over.json["message"]) == (403, True), over.body


async def test_a_dry_run_answers_as_if_and_does_nothing(api: Api) -> None:
    async with lively(api):
        await define(api, definition())
        tried = await api("POST", f"{GADGETS}?dryRun=All", gadget(size=1))
        assert (tried.code, tried.json["spec"]) == (201, {"size": 1, "color": "red"})
        assert (await api("POST", f"{GADGETS}?dryRun=All", gadget(size=0))).code == 422
        assert (await api("GET", GADGETS)).json["items"] == []
        before = (await api("POST", GADGETS, gadget(size=1))).json
        applied = {**gadget(size=2), "metadata": {"name": "a"}}
        for method, query, body, kind in (
            ("PUT", "dryRun=All", {**before, "spec": {"size": 2}}, "application/json"),
            ("PATCH", "dryRun=All", {"spec": {"size": 2}}, "application/merge-patch+json"),
            ("PATCH", "dryRun=All&fieldManager=m&force=true", applied, "application/apply-patch+yaml"),
        ):
            reply = await api(method, f"{GADGETS}/a?{query}", body, content_type=kind)
            assert (reply.code, reply.json["spec"]["size"]) == (200, 2), reply.body
        assert (await api("DELETE", f"{GADGETS}/a?dryRun=All")).code == 200
        assert (await api("GET", f"{GADGETS}/a")).json == before
