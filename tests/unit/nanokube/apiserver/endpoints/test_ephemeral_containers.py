"""Containers that `kubectl debug` adds to a Pod that runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PATH = f"{PODS}/p/ephemeralcontainers"


def adding(**more: Any) -> dict[str, Any]:
    return {"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox", **more}]}}


async def test_a_container_is_added_once(api: Api) -> None:
    await api("POST", PODS, pod())
    reply = await api("PATCH", PATH, adding(), content_type=PATCH)
    assert reply.code == 200, reply.json["message"]
    (added,) = reply.json["spec"]["ephemeralContainers"]
    assert (added["name"], added["imagePullPolicy"]) == ("d", "Always")
    again = await api("PATCH", PATH, adding(image="other"), content_type=PATCH)
    assert again.code in (403, 422), "it may not be changed"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"image": ""}, "spec.ephemeralContainers[0].image: Required value"),
        ({"targetContainerName": "none"}, "spec.ephemeralContainers[0].targetContainerName: Not found"),
        ({"ports": [{"containerPort": 80}]}, "spec.ephemeralContainers[0].ports: Forbidden"),
    ],
)
async def test_what_is_added_is_judged(api: Api, more: dict[str, Any], said: str) -> None:
    await api("POST", PODS, pod())
    reply = await api("PATCH", PATH, adding(**more), content_type=PATCH)
    assert reply.code == 422
    assert said in reply.json["message"]


def applied(manager: str, *containers: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    named = [{"name": name, "image": image} for name, image in containers]
    spec = {"ephemeralContainers": named}
    return f"{PATH}?fieldManager={manager}", {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": spec,
    }


async def test_applying_records_who_applied_what(api: Api) -> None:
    await api("POST", PODS, pod())
    path, body = applied("a", ("d", "x"))
    reply = await api("PATCH", path, body, content_type=APPLY)
    (entry,) = [e for e in reply.json["metadata"]["managedFields"] if e["manager"] == "a"]
    assert (entry["operation"], entry["subresource"]) == ("Apply", "ephemeralcontainers")
    own: dict[str, Any] = {".": {}, "f:image": {}, "f:name": {}}
    assert entry["fieldsV1"] == {"f:spec": {"f:ephemeralContainers": {'k:{"name":"d"}': own}}}
    path, body = applied("a", ("d", "x"), ("e", "y"))
    reply = await api("PATCH", path, body, content_type=APPLY)
    assert [c["name"] for c in reply.json["spec"]["ephemeralContainers"]] == ["d", "e"]


async def test_who_applies_another_value_is_in_conflict(api: Api) -> None:
    await api("POST", PODS, pod())
    path, body = applied("a", ("d", "x"))
    await api("PATCH", path, body, content_type=APPLY)
    path, body = applied("b", ("d", "y"))
    reply = await api("PATCH", path, body, content_type=APPLY)
    assert (reply.code, reply.json["message"]) == (
        409,
        'Apply failed with 1 conflict: conflict with "a" with subresource "ephemeralcontainers": '
        '.spec.ephemeralContainers[name="d"].image',
    )
    reply = await api("PATCH", f"{path}&force=true", body, content_type=APPLY)
    assert reply.code == 422
    assert '- "Image": "x",\n+ "Image": "y",' in reply.json["message"]


async def test_none_is_taken_away(api: Api) -> None:
    await api("POST", PODS, pod())
    await api("PATCH", PATH, adding(), content_type=PATCH)
    body = (await api("GET", f"{PODS}/p")).json
    body["spec"]["ephemeralContainers"] = []
    reply = await api("PUT", PATH, body)
    assert (reply.code, reply.json["message"]) == (
        422,
        'Pod "p" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not '
        "be removed\n",
    )
