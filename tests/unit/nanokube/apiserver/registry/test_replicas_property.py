"""Whatever admission was told meanwhile, a Pod by the short way is what it is by the long one.

Of each spec the server knows the bytes; with a space more, which nobody sent before, it has to read them.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest

from nanokube.api import known_specs, replicas
from tests.unit.nanokube.apiserver.admission.policies.conftest import MERGE, bind, match
from tests.unit.nanokube.apiserver.conftest import Api

NAMESPACES = ("default", "other")
CONTAINER = {"name": "c", "image": "busybox:1"}
SPECS: tuple[dict[str, Any], ...] = (
    {"containers": [CONTAINER]},
    {"containers": [CONTAINER, {"name": "d", "image": "i"}], "initContainers": [{"name": "i", "image": "i"}]},
    {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "100m"}}}], "priorityClassName": "named"},
    {"containers": [CONTAINER], "runtimeClassName": "known", "nodeSelector": {"a": "b"}},
    {"containers": [CONTAINER], "serviceAccountName": "robot"},
    {"containers": [CONTAINER], "automountServiceAccountToken": True, "priority": 0},
    {"containers": [CONTAINER], "hostNetwork": True, "tolerations": [{"operator": "Exists"}]},
    {
        "containers": [{**CONTAINER, "volumeMounts": [{"name": "v", "mountPath": "/"}]}],
        "volumes": [{"name": "v"}],
    },
    {"containers": [{**CONTAINER, "securityContext": {"privileged": True}}]},
    {"containers": [{"name": "c"}], "restartPolicy": "Never"},
)
GROUPS = {
    "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "runtimeclasses": "/apis/node.k8s.io/v1/runtimeclasses",
    "policies": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolic",
}


class Cluster:
    """A server whose admission is told something new again and again."""

    def __init__(self, api: Api, draw: random.Random) -> None:
        self.api = api
        self.draw = draw
        self._spaces = itertools.count(1)
        self._names = itertools.count()
        self._specs = draw.sample(SPECS, 6)

    async def change(self) -> None:
        """Tell admission something; what is there already, or not there, is refused."""
        namespace = f"/api/v1/namespaces/{self.draw.choice(NAMESPACES)}"
        chosen = self.draw.choice(
            (self._ranges, self._accounts, self._quotas, self._levels, self._priorities, self._runtimes)
        )
        await chosen(namespace)

    async def _ranges(self, namespace: str) -> None:
        path = f"{namespace}/limitranges"
        limit = {"type": "Container", "default": {"cpu": self.draw.choice(("1", "2"))}}
        await self._put_or_delete(path, {"metadata": {"name": "l"}, "spec": {"limits": [limit]}})

    async def _accounts(self, namespace: str) -> None:
        path = f"{namespace}/serviceaccounts"
        body = {
            "automountServiceAccountToken": self.draw.choice((None, True, False)),
            "imagePullSecrets": self.draw.choice((None, [{"name": "s"}])),
        }
        await self.api("PATCH", f"{path}/default", body, content_type=MERGE)
        await self._put_or_delete(path, {"metadata": {"name": "robot"}})

    async def _quotas(self, namespace: str) -> None:
        hard = {"pods": self.draw.choice(("0", "1000", "1000")), "requests.cpu": "1000"}
        await self._put_or_delete(
            f"{namespace}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}}
        )

    async def _levels(self, namespace: str) -> None:
        level = self.draw.choice(("privileged", "baseline", "restricted"))
        labels = {
            "pod-security.kubernetes.io/enforce": level,
            "pod-security.kubernetes.io/warn": "restricted",
        }
        body = {"metadata": {"labels": labels}}
        await self.api("PATCH", namespace, body, content_type=MERGE)

    async def _priorities(self, _: str) -> None:
        body = {"value": self.draw.randrange(9), "globalDefault": self.draw.random() < 0.5}
        name = self.draw.choice(("named", "other"))
        await self._put_or_delete(GROUPS["priorityclasses"], {"metadata": {"name": name}, **body})

    async def _runtimes(self, _: str) -> None:
        body = {
            "metadata": {"name": "known"},
            "handler": "h",
            "overhead": {"podFixed": {"cpu": f"{self.draw.randrange(1, 9)}m"}},
            "scheduling": {"nodeSelector": {"a": self.draw.choice("bc"), "d": "e"}},
        }
        await self._put_or_delete(GROUPS["runtimeclasses"], body)

    async def toggle_policy(self) -> None:
        """Have a policy change Pods, or no more."""
        if (await self.api("DELETE", f"{GROUPS['policies']}ybindings/p-b")).code == 200:
            await self.api("DELETE", f"{GROUPS['policies']}ies/p")
            return
        said = 'Object{spec: Object.spec{hostname: "changed"}}'
        mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": said}}
        await bind(self.api, "mutating", {"matchConstraints": match("pods"), "mutations": [mutation]})

    async def _put_or_delete(self, path: str, body: Mapping[str, Any]) -> None:
        name = body["metadata"]["name"]
        if self.draw.random() < 0.6:
            await self.api("DELETE", f"{path}/{name}")
        elif (await self.api("POST", path, body)).code == 409:
            await self.api("PATCH", f"{path}/{name}", body, content_type=MERGE)

    async def compare(self) -> None:
        """Make Pods in both ways."""
        namespace, spec = self.draw.choice(NAMESPACES), self.draw.choice(self._specs)
        metadata: dict[str, Any] = {"labels": {"app": "a"}}
        if self.draw.random() < 0.2:
            metadata["annotations"] = {"a": "b"}
        naming = self.draw.choice(("name", "generateName"))
        query = self.draw.choice(("", "?dryRun=All", "?fieldValidation=Strict", "?fieldManager=m"))
        path = f"/api/v1/namespaces/{namespace}/pods{query}"
        found = []
        for space in (b"", b"", b"", b" " * next(self._spaces)):
            own = {**metadata, naming: f"p-{next(self._names)}"}
            body = b'{"kind":"Pod","apiVersion":"v1","metadata":%b,"spec":%b}' % (
                orjson.dumps(own),
                orjson.dumps(spec).replace(b"{", b"{" + space, 1),
            )
            found.append(await self._made(path, body, own[naming]))
        assert all(each == found[-1] for each in found)

    async def _made(self, path: str, body: bytes, name: str) -> object:
        reply = await self.api("POST", path, body)
        obj = reply.json
        if reply.code != 201:
            said = re.sub(rf"\b{name}([a-z0-9]{{5}})?\b", "NAME", obj["message"])
            return reply.code, said, reply.headers.getall("warning")
        stored = await self.api("GET", f"{path.partition('?')[0]}/{obj['metadata']['name']}")
        assert stored.code == (404 if "dryRun" in path else 200)
        if stored.code == 200:
            assert stored.json == obj
        drawn = (v["name"] for v in obj["spec"].get("volumes") or ())
        token = next((each for each in drawn if each.startswith(known_specs.PREFIX)), "-")
        for key in ("name", "uid", "resourceVersion", "generateName"):
            obj["metadata"].pop(key, None)
        return orjson.dumps(obj).replace(token.encode(), b"TOKEN"), reply.headers.getall("warning")


@pytest.fixture
def recalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List the recalls."""
    names: list[str] = []
    original = replicas.Admitted.replica

    def noted(self: replicas.Admitted, name: str) -> tuple[dict[str, Any], bytes]:
        names.append(name)
        return original(self, name)

    monkeypatch.setattr(replicas.Admitted, "replica", noted)
    monkeypatch.setattr(replicas, "_sent", known_specs.Memory(replicas.Sent, 256))
    yield names
    assert len([name for name in names if not name.endswith("00000")]) > 20, "the short way was gone"


@pytest.mark.parametrize("seed", range(3))
async def test_the_short_way_ends_where_the_long_one_does(api: Api, recalled: list[str], seed: int) -> None:
    assert (await api("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})).code == 201
    account = {"metadata": {"name": "default"}}
    assert (await api("POST", "/api/v1/namespaces/other/serviceaccounts", account)).code == 201
    cluster = Cluster(api, random.Random(seed))
    for _ in range(50):
        await cluster.change()
        is_changed = cluster.draw.random() < 0.1
        if is_changed:
            await cluster.toggle_policy()
        for _ in range(6):
            await cluster.compare()
        if is_changed:
            await cluster.toggle_policy()
