"""Namespaces are not finalized while somebody may still hold objects in them."""

from __future__ import annotations

from typing import Any

import orjson

from nanokube.api import resources
from nanokube.client import discovery, events, fake, informer
from nanokube.controllers import env
from nanokube.controllers.namespace import NamespaceController
from nanokube.kit import clock

GROUP = {
    "metadata": {"name": "wardle.example.com"},
    "versions": [{"version": "v1alpha1", "resources": [], "freshness": "Stale"}],
}


class Client(fake.FakeClient):
    """A server behind which another does not answer."""

    async def raw(self, method: str, path: str, **options: Any) -> bytes:
        document = orjson.loads(await super().raw(method, path, **options))
        if path == "/apis":
            document["items"].append(GROUP)
        return orjson.dumps(document)


async def test_what_does_not_answer_is_named() -> None:
    found, silent = await discovery.survey(Client())
    assert silent == ["wardle.example.com/v1alpha1"]
    assert resources.get("pods").name in [each.name for each in found]


async def test_a_namespace_waits_for_a_server_that_does_not_answer() -> None:
    client = Client()
    shared = env.Env(client, informer.Factory(client), events.ListRecorder(), clock.LoopClock(0.0))
    progress = await NamespaceController(shared)._sweep("ns")
    assert not progress.is_done
    assert progress.discovery_failure == (
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
        "wardle.example.com/v1alpha1: stale GroupVersion discovery: wardle.example.com/v1alpha1"
    )
