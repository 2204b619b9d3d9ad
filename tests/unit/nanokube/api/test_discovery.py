"""Our discovery against the facts of the official v1.36 documents; each difference has its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from nanokube.api import discovery, resources
from nanokube.api.resources import Resource

FACTS: Final = Path(__file__).parents[3] / "data" / "discovery-v1.36.json"

BETA: Final = "a beta or alpha version: off by default upstream as well"
# group/version[/resource] -> why we do not serve what the document, made with every feature on, lists
LEFT_OUT: Final = {
    "admissionregistration.k8s.io/v1alpha1": BETA,
    "admissionregistration.k8s.io/v1beta1": BETA,
    "certificates.k8s.io/v1alpha1": BETA,
    "certificates.k8s.io/v1beta1": BETA,
    "coordination.k8s.io/v1alpha2": BETA,
    "coordination.k8s.io/v1beta1": BETA,
    "internal.apiserver.k8s.io/v1alpha1": BETA,
    "networking.k8s.io/v1beta1": BETA,
    "resource.k8s.io/v1alpha3": BETA,
    "resource.k8s.io/v1beta1": BETA,
    "resource.k8s.io/v1beta2": BETA,
    "scheduling.k8s.io/v1alpha2": BETA,
    "storage.k8s.io/v1beta1": BETA,
    "storagemigration.k8s.io/v1beta1": BETA,
}


def official() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(FACTS.read_bytes())
    return found


def group_version(path: str) -> str:
    return path.rpartition("/")[0]


def path_of(resource: Resource) -> str:
    return f"{resource.group or 'core'}/{resource.version}/{resource.plural}"


def described(resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": resource.kind,
        "namespaced": resource.namespaced,
        "singular": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if resource.subresources:
        found["subresources"] = {
            s.name: [s.group, s.version, s.kind, list(s.verbs)] for s in resource.subresources
        }
    return found


@pytest.mark.parametrize("resource", resources.ALL, ids=path_of)
def test_each_resource_is_as_the_official_document_says(resource: Resource) -> None:
    assert described(resource) == official()[path_of(resource)]


def test_what_is_left_out_is_named_and_nothing_else_is() -> None:
    ours = {path_of(r) for r in resources.ALL}
    absent = {group_version(path) for path in official() if path not in ours}
    assert absent == set(LEFT_OUT)
    assert not {group_version(path) for path in ours} & set(LEFT_OUT)


def test_the_preferred_version_of_autoscaling_is_v2_and_is_the_one_stored() -> None:
    versions = discovery.group_versions()
    assert versions["autoscaling"] == ["v2", "v1"]
    assert resources.get("horizontalpodautoscalers.autoscaling").version == "v2"


def test_hashes_of_storage_versions_are_upstreams() -> None:
    def hashes(group: str, version: str) -> dict[str, str]:
        found = discovery.api_resource_list(group, version)
        assert found is not None
        return {each["name"]: each.get("storageVersionHash", "") for each in found["resources"]}

    assert hashes("", "v1")["configmaps"] == "qFsyl6wFWjQ="
    assert hashes("apps", "v1")["deployments"] == "8aSe+NMegvE="
    assert hashes("events.k8s.io", "v1")["events"] == hashes("", "v1")["events"] == "r2yiGXH7wu8="
