"""Replicas on a whole server: the second is what the first is, and what else decides is asked each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from nanokube.api import known_specs, replicas
from tests.unit.nanokube.apiserver.admission.policies.conftest import bind, match
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
STRATEGIC = "application/strategic-merge-patch+json"


class Count:
    """How many specs were recalled."""

    def __init__(self) -> None:
        self.recalled = 0


@pytest.fixture(autouse=True)
def count(monkeypatch: pytest.MonkeyPatch) -> Iterator[Count]:
    """Count; and see at the end that nobody changed a tree that is shared."""
    found, seen, original = Count(), list[replicas.Sent](), replicas.Admitted.replica

    def counted(self: replicas.Admitted, name: str) -> tuple[dict[str, Any], bytes]:
        found.recalled += not name.endswith("00000")
        return original(self, name)

    class Noted(replicas.Sent):
        def __init__(self) -> None:
            super().__init__()
            seen.append(self)

    monkeypatch.setattr(replicas.Admitted, "replica", counted)
    monkeypatch.setattr(replicas, "_sent", known_specs.Memory(Noted, 256))
    yield found
    for sent in seen:
        if sent.encoded:
            assert orjson.dumps(sent.tree) == sent.encoded
        for each in sent.admitted.values():
            assert each.is_whole


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
    ("spec", "recalled"),
    [
        ({}, 2),
        ({"nodeName": "n", "tolerations": [{"operator": "Exists"}], "hostNetwork": True}, 2),
        ({"automountServiceAccountToken": False, "priority": 0}, 2),
        ({"schedulingGates": [{"name": "example.com/g"}]}, 2),
        ({"volumes": [{"name": "v", "gitRepo": {"repository": "r"}}]}, 2),  # which is worth a warning
        ({"volumes": [{"name": "t", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}]}, 0),
    ],
)
async def test_replicas_are_the_same(api: Api, count: Count, spec: dict[str, Any], recalled: int) -> None:
    made = [await api("POST", PODS, replica(f"p-{number}", **spec)) for number in range(4)]
    assert [reply.code for reply in made] == [201] * 4
    assert len({alike(reply.json) for reply in made}) == 1
    assert count.recalled == recalled  # the first was new, of the second was learnt
    assert len({tuple(reply.headers.getall("warning")) for reply in made}) == 1
    assert len({reply.json["metadata"]["uid"] for reply in made}) == 4


async def test_each_replica_draws_the_name_of_its_volume(api: Api) -> None:
    made = [(await api("POST", PODS, replica(f"p-{number}"))).json["spec"] for number in range(3)]
    names = {spec["volumes"][0]["name"] for spec in made}
    assert len(names) == 3
    assert {spec["containers"][0]["volumeMounts"][0]["name"] for spec in made} == names


@pytest.mark.parametrize(
    "wrong",
    [
        {"restartPolicy": "Sometimes"},
        {"volumes": [{"emptyDir": {}}]},
        {"containers": [{}]},
        {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"mountPath": "/a"}]}]},
        {"containers": []},
        {"containers": [], "initContainers": [{"name": "i", "image": "i"}]},
        {"initContainers": [{"volumeMounts": [{}]}]},
    ],
)
async def test_a_wrong_spec_is_refused_each_time(api: Api, wrong: dict[str, Any]) -> None:
    found = [(await api("POST", PODS, replica("p", **wrong))).json for _ in range(4)]
    assert found[0]["code"] == 422
    assert all(each == found[0] for each in found)


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


async def test_generated_names(api: Api, count: Count) -> None:
    made = [
        (await api("POST", PODS, {**replica("p"), "metadata": {"generateName": "p-"}})).json for _ in range(4)
    ]
    assert len({obj["metadata"]["name"] for obj in made}) == 4
    assert len({alike(obj) for obj in made}) == 1
    assert count.recalled == 2


async def test_each_namespace_has_its_own_account(api: Api) -> None:
    assert (await api("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})).code == 201
    others = "/api/v1/namespaces/other/pods"
    account = {"metadata": {"name": "default"}, "automountServiceAccountToken": False}
    assert (await api("POST", "/api/v1/namespaces/other/serviceaccounts", account)).code == 201
    for number in range(4):
        assert "volumes" in (await api("POST", PODS, replica(f"p-{number}"))).json["spec"]
        assert "volumes" not in (await api("POST", others, replica(f"p-{number}"))).json["spec"]


async def test_a_policy_changes_replicas_and_the_next_ones_are_as_before(api: Api, count: Count) -> None:
    for number in range(3):
        assert (await api("POST", PODS, replica(f"p-{number}"))).code == 201
    assert count.recalled == 1
    said = 'Object{spec: Object.spec{containers: [Object.spec.containers{name: "c", tty: true}]}}'
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": said}}
    await bind(api, "mutating", {"matchConstraints": match("pods"), "mutations": [mutation]})
    for number in range(3, 6):
        assert (await api("POST", PODS, replica(f"p-{number}"))).json["spec"]["containers"][0]["tty"]
    assert count.recalled == 1
    root = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolic"
    assert (await api("DELETE", f"{root}ybindings/p-b")).code == 200
    for number in range(6, 9):
        assert "tty" not in (await api("POST", PODS, replica(f"p-{number}"))).json["spec"]["containers"][0]
    assert count.recalled > 1


async def test_what_judges_sees_the_whole_of_a_replica(api: Api, count: Count) -> None:
    for number in range(3):
        assert (await api("POST", PODS, replica(f"p-{number}"))).code == 201
    rule = "object.spec.volumes.exists(v, v.name.startsWith('kube-')) && object.metadata.name != 'bad'"
    await bind(api, "validating", {"matchConstraints": match("pods"), "validations": [{"expression": rule}]})
    before = count.recalled
    assert (await api("POST", PODS, replica("good"))).code == 201
    assert (await api("POST", PODS, replica("bad"))).code == 422
    assert count.recalled == before + 2
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    merge = "application/merge-patch+json"
    assert (await api("PATCH", "/api/v1/namespaces/default", labels, content_type=merge)).code == 200
    assert (await api("POST", PODS, replica("good-2"))).code == 403


async def test_nothing_is_made_where_a_namespace_ends(api: Api) -> None:
    assert (await api("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})).code == 201
    assert (
        await api("POST", "/api/v1/namespaces/n/serviceaccounts", {"metadata": {"name": "default"}})
    ).code == 201
    for number in range(3):
        assert (await api("POST", "/api/v1/namespaces/n/pods", replica(f"p-{number}"))).code == 201
    assert (await api("DELETE", "/api/v1/namespaces/n")).code == 200
    assert (await api("POST", "/api/v1/namespaces/n/pods", replica("p-3"))).code == 403
