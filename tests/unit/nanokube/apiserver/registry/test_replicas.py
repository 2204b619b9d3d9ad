"""Replicas on a whole server: the second is what the first is, and what else decides is asked each time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
STRATEGIC = "application/strategic-merge-patch+json"


def alike(obj: dict[str, Any]) -> bytes:
    """Return an object without what is its own."""
    drawn = [v["name"] for v in obj["spec"].get("volumes") or () if v["name"].startswith("kube-api-access-")]
    for key in ("name", "uid", "resourceVersion"):
        del obj["metadata"][key]
    text = orjson.dumps(obj)
    for name in drawn:
        text = text.replace(name.encode(), b"drawn")
    return text


def replica(name: str, **spec: Any) -> dict[str, Any]:
    return {**pod(name, **spec), "metadata": {"name": name, "labels": {"app": "a"}}}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"nodeName": "n", "tolerations": [{"operator": "Exists"}], "hostNetwork": True},
        {"automountServiceAccountToken": False, "priority": 0},
        {"schedulingGates": [{"name": "example.com/g"}]},
        {"volumes": [{"name": "v", "gitRepo": {"repository": "r"}}]},  # which is worth a warning
        {"volumes": [{"name": "t", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}]},
    ],
)
async def test_replicas_are_the_same(api: Api, spec: dict[str, Any]) -> None:
    made = [await api("POST", PODS, replica(f"p-{number}", **spec)) for number in range(4)]
    assert [reply.code for reply in made] == [201] * 4
    assert len({alike(reply.json) for reply in made}) == 1
    assert len({tuple(reply.headers.getall("warning")) for reply in made}) == 1
    assert len({reply.json["metadata"]["uid"] for reply in made}) == 4


async def test_each_replica_draws_the_name_of_its_volume(api: Api) -> None:
    made = [(await api("POST", PODS, replica(f"p-{number}"))).json["spec"] for number in range(3)]
    names = {spec["volumes"][0]["name"] for spec in made}
    assert len(names) == 3
    assert {spec["containers"][0]["volumeMounts"][0]["name"] for spec in made} == names


async def test_a_wrong_spec_is_refused_each_time(api: Api) -> None:
    for _ in range(3):
        found = await api("POST", PODS, replica("p", restartPolicy="Sometimes"))
        assert found.code == 422


async def test_names_are_judged_though_the_spec_is_known(api: Api) -> None:
    assert (await api("POST", PODS, replica("p"))).code == 201
    assert (await api("POST", PODS, replica("P"))).code == 422
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}
    volume = {"name": "v", "ephemeral": {"volumeClaimTemplate": claim}}
    assert (await api("POST", PODS, replica("q", volumes=[volume]))).code == 201
    assert (await api("POST", PODS, replica("q" * 252, volumes=[volume]))).code == 422


async def test_annotations_are_judged_though_the_spec_is_known(api: Api) -> None:
    assert (await api("POST", PODS, replica("p"))).code == 201
    for key, code in (
        ("kubernetes.io/config.mirror", 422),
        ("seccomp.security.alpha.kubernetes.io/pod", 422),
    ):
        noted = replica("q")
        noted["metadata"]["annotations"] = {key: "nothing"}
        assert (await api("POST", PODS, noted)).code == code


async def test_a_change_of_the_account_counts_at_once(api: Api) -> None:
    assert (await api("POST", PODS, replica("p-1"))).json["spec"]["volumes"]
    change = {"automountServiceAccountToken": False, "imagePullSecrets": [{"name": "s"}]}
    assert (await api("PATCH", ACCOUNT, change, content_type=STRATEGIC)).code == 200
    spec = (await api("POST", PODS, replica("p-2"))).json["spec"]
    assert "volumes" not in spec
    assert spec["imagePullSecrets"] == [{"name": "s"}]


async def test_other_things_that_admission_asks_count_at_once(api: Api) -> None:
    assert (await api("POST", PODS, replica("p-1"))).json["spec"]["priority"] == 0
    kind = "/apis/scheduling.k8s.io/v1/priorityclasses"
    assert (
        await api("POST", kind, {"metadata": {"name": "c"}, "value": 7, "globalDefault": True})
    ).code == 201
    assert (await api("POST", PODS, replica("p-2"))).json["spec"]["priority"] == 7
    limits = {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}
    ranges = "/api/v1/namespaces/default/limitranges"
    assert (await api("POST", ranges, {"metadata": {"name": "l"}, "spec": limits})).code == 201
    for name in ("p-3", "p-4"):
        made = (await api("POST", PODS, replica(name))).json
        assert made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1"}
        assert "LimitRanger plugin set" in made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
        assert made["spec"]["priority"] == 7
    assert (await api("DELETE", f"{ranges}/l")).code == 200
    assert (await api("DELETE", f"{kind}/c")).code == 200
    made = (await api("POST", PODS, replica("p-5"))).json
    assert made["spec"]["containers"][0]["resources"] == {}
    assert made["spec"]["priority"] == 0
    assert "annotations" not in made["metadata"]
