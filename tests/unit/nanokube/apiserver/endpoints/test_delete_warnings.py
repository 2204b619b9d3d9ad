"""What a client that deletes is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import Api

JOBS = "/apis/batch/v1/namespaces/default/jobs"


@pytest.mark.parametrize("path", ["/j", ""])
@pytest.mark.parametrize(("options", "is_warned"), [({}, True), ({"propagationPolicy": "Orphan"}, False)])
async def test_pods_of_a_deleted_job_stay(
    api: Api, path: str, options: dict[str, Any], is_warned: bool
) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    await api("POST", JOBS, {"metadata": {"name": "j"}, "spec": {"template": template}})
    reply = await api("DELETE", JOBS + path, options)
    assert reply.code == 200
    assert ("child pods are preserved by default" in (reply.headers.get("warning") or "")) == is_warned
