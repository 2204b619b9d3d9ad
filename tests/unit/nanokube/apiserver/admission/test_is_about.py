"""Plugins that are left out of requests that they are not about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.chain import Attributes, Chain, Plugin
from nanokube.apiserver.admission.classes import DefaultClasses, RuntimeClass
from nanokube.apiserver.admission.default_tolerations import DefaultTolerationSeconds
from nanokube.apiserver.admission.limit_ranger import LimitRanger
from nanokube.apiserver.admission.lookup import Lookup
from nanokube.apiserver.admission.node_taint import NodeTaint
from nanokube.apiserver.admission.priority import Priority
from nanokube.apiserver.admission.service_account import ServiceAccount
from nanokube.apiserver.admission.volumes import ClaimResize, StorageProtection
from nanokube.apiserver.authn.user import User

ITEM: dict[str, Any] = {
    "metadata": {"name": "x", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "globalDefault": True,
    "automountServiceAccountToken": True,
    "overhead": {"podFixed": {"cpu": "1"}},
    "spec": {
        "limits": [{"type": t, "default": {"cpu": "1"}, "max": {"cpu": "1m"}} for t in ("Container", "Pod")]
    },
}
LOOKUP = Lookup(lambda name, key: ITEM, lambda name, namespace: iter([ITEM]))
PLUGINS: tuple[Plugin, ...] = (
    LimitRanger(LOOKUP),
    ServiceAccount(LOOKUP.find, lambda: "abcde"),
    NodeTaint(),
    Priority(LOOKUP),
    DefaultTolerationSeconds(),
    DefaultClasses(LOOKUP),
    StorageProtection(),
    ClaimResize(LOOKUP),
    RuntimeClass(LOOKUP),
)
REQUESTS = [
    (operation, resource, subresource)
    for operation in (chain.CREATE, chain.UPDATE, chain.DELETE)
    for resource in (
        "pods",
        "nodes",
        "configmaps",
        "persistentvolumeclaims",
        "persistentvolumes",
        "deployments.apps",
    )
    for subresource in ("", "status", "resize", "ephemeralcontainers")
]


def attributes(operation: str, resource: str, subresource: str) -> Attributes:
    spec = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}], "runtimeClassName": "r"}
    obj = {"metadata": {"name": "n"}, "spec": {**spec, "resources": {"requests": {"storage": "2"}}}}
    old: Mapping[str, Any] | None = None
    if operation != chain.CREATE:
        old = {"metadata": {"name": "n"}, "spec": {"resources": {"requests": {"storage": "1"}}}}
    new = None if operation == chain.DELETE else obj
    row = resources.get(resource)
    return Attributes(operation, User("u"), row, "d", "n", subresource, new, old)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: type(plugin).__name__)
async def test_what_is_left_out_would_have_done_nothing(plugin: Plugin) -> None:
    left_out = [request for request in REQUESTS if not plugin.is_about(*request)]
    assert left_out
    assert len(left_out) < len(REQUESTS)
    for request in left_out:
        given = attributes(*request)
        before = objects.copy(given.obj)
        await plugin.mutate(given)
        await plugin.validate(given)
        assert given.obj == before


async def test_only_those_that_are_about_a_request_are_asked() -> None:
    class Noting(Plugin):
        asked: list[str]

        def __init__(self) -> None:
            self.asked = []

        def is_about(self, operation: str, resource: str, subresource: str) -> bool:
            return resource == "pods" and not subresource

        async def mutate(self, attributes: Attributes) -> None:
            self.asked.append(attributes.full)

    plugin = Noting()
    for request in REQUESTS:
        await Chain((plugin,)).mutate(attributes(*request))
    assert plugin.asked == ["pods"] * 3
