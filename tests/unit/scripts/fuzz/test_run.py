"""A slice of the fuzz run: the whole of it is `python -m scripts.fuzz`."""

from __future__ import annotations

import pytest

from nanokube.api import resources
from scripts.fuzz import run, shadow


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_few_hundred_requests_do_no_harm(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    report = await run.fuzz(seed, 300, on_progress=lambda done: None)
    assert report.faults == []
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
    assert report.codes[201] > 10
    assert report.objects > 100


def test_a_lost_or_revived_object_is_told() -> None:
    made = shadow.Shadow()
    row = resources.get("secrets")

    def secret(name: str, version: int, data: str = "") -> shadow.Object:
        metadata = {"name": name, "namespace": "w0", "resourceVersion": str(version)}
        return {"apiVersion": "v1", "metadata": metadata, "data": {"k": data}}

    for name in ("lost", "same", "other", "back"):
        made.put(row, secret(name, 5))
    live = {
        ("secrets", "w0", obj["metadata"]["name"]): obj
        for obj in (secret("same", 5), secret("other", 5, "x"), secret("back", 4), secret("revived", 3))
    }
    problems = made.differences(live, ["w0"])
    assert [p.partition(": ")[2].split(",")[0] for p in problems] == [
        "lost",
        "differs from what was acknowledged at 5",
        "went back from 5 to 4",
        "exists",
    ]
