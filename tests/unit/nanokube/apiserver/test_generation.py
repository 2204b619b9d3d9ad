"""An object replaced by one that leaves its defaults out has not changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1}]}]},
}
_DEPLOYMENT = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": _TEMPLATE}}
_SLICE = {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}


@pytest.mark.parametrize(
    ("collection", "body"),
    [
        ("/apis/apps/v1/namespaces/default/deployments", _DEPLOYMENT),
        ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", _SLICE),
    ],
)
async def test_defaults_left_out_are_no_change(api: Api, collection: str, body: dict[str, Any]) -> None:
    wanted = {"metadata": {"name": "x"}, **body}
    made = await api("POST", collection, wanted)
    assert made.code == 201
    replaced = await api("PUT", f"{collection}/x", wanted)
    assert replaced.code == 200
    assert replaced.json["metadata"]["generation"] == made.json["metadata"]["generation"] == 1
    assert replaced.json["metadata"]["resourceVersion"] == made.json["metadata"]["resourceVersion"]


async def test_a_binding_is_no_change_of_the_spec(api: Api) -> None:
    await api("POST", PODS, pod())
    target = {"target": {"kind": "Node", "name": "n"}, "metadata": {"name": "p"}}
    assert (await api("POST", f"{PODS}/p/binding", target)).code == 201
    bound = (await api("GET", f"{PODS}/p")).json
    assert (bound["spec"]["nodeName"], bound["metadata"]["generation"]) == ("n", 1)
