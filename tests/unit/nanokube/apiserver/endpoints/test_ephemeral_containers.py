"""Containers that `kubectl debug` adds to a Pod that runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

PATCH = "application/strategic-merge-patch+json"
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
