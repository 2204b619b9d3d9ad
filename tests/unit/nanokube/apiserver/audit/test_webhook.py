"""The webhook: its kubeconfig, its attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from nanokube.apiserver.audit import webhook
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.settings import WebhookSettings
from nanokube.kit.http.message import Request, Response
from nanokube.kit.http.server import Server


def kubeconfig(folder: Path, server: str, **user: str) -> Path:
    file = folder / "hook.conf"
    tree = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_bytes(orjson.dumps(tree))
    return file


class Hook:
    """Answers one status after the other."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(self.statuses.pop(0))


async def deliver(hook: Hook, folder: Path, **user: str) -> tuple[bool, list[float], AuditMetrics]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    metrics = AuditMetrics()
    async with Server(hook) as server:
        host, port = await server.listen("127.0.0.1", 0)
        settings = WebhookSettings(kubeconfig(folder, f"http://{host}:{port}/audit?x=1", **user))
        backend = webhook.WebhookBackend(settings, metrics, sleep)
        found = await backend.deliver([b'{"level":"Metadata"}', b"{}"])
        await backend.close()
        await server.close(0)
    return found, slept, metrics


async def test_events_are_posted_as_a_list(tmp_path: Path) -> None:
    hook = Hook(200)
    assert (await deliver(hook, tmp_path, token="t"))[:2] == (True, [])
    (request,) = hook.requests
    assert (request.method, request.target) == ("POST", "/audit?x=1")
    assert request.headers.get("authorization") == "Bearer t"
    assert orjson.loads(request.body) == {
        "kind": "EventList",
        "apiVersion": "audit.k8s.io/v1",
        "metadata": {},
        "items": [{"level": "Metadata"}, {}],
    }


async def test_it_is_tried_again_ever_later(tmp_path: Path) -> None:
    hook = Hook(500, 403, 201)
    is_delivered, slept, _ = await deliver(hook, tmp_path)
    assert is_delivered
    assert len(hook.requests) == 3
    assert 10 <= slept[0] <= 12
    assert 15 <= slept[1] <= 18


async def test_it_is_given_up_in_the_end(tmp_path: Path) -> None:
    hook = Hook(*[503] * 9)
    is_delivered, slept, metrics = await deliver(hook, tmp_path)
    assert not is_delivered
    assert (len(hook.requests), len(slept)) == (5, 4)
    assert metrics.errors.labels("webhook")._value.get() == 2


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"current-context": "y"}, "context 'y' is not there"),
        ({"clusters": []}, "cluster 'c' is not there"),
        ({"clusters": [{"name": "c", "cluster": {"server": "ftp://x"}}]}, "is not a URL"),
    ],
)
def test_a_file_that_names_nothing_is_refused(tmp_path: Path, change: dict[str, Any], cause: str) -> None:
    file = kubeconfig(tmp_path, "http://x")
    file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), **change}))
    with pytest.raises(ValueError, match=cause):
        webhook.read(file)
