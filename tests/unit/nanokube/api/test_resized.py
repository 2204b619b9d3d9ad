from typing import Any

import pytest

from nanokube.api import quantity, resized, usage
from nanokube.api import resources as kinds
from nanokube.scheduler import requests


def pod(asked: str, allocated: str, actual: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": asked}}}]},
        "status": {
            "phase": "Running",
            "conditions": list(conditions),
            "containerStatuses": [
                {
                    "name": "a",
                    "allocatedResources": {"cpu": allocated},
                    "resources": {"requests": {"cpu": actual}},
                }
            ],
        },
    }


REFUSED = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}


@pytest.mark.parametrize(
    ("given", "milli"),
    [
        (pod("1", "1", "1"), 1000),
        (pod("2", "1", "1"), 2000),  # asked for: room is kept
        (pod("1", "2", "2"), 2000),  # not yet given back
        (pod("1", "1", "1500m"), 1500),
        (pod("9", "1", "1", REFUSED), 1000),
    ],
)
def test_a_pod_counts_for_the_most_it_asks_was_allocated_or_has(given: dict[str, Any], milli: int) -> None:
    assert requests.of_pod(given) == {"cpu": milli}
    assert usage.of(kinds.get("pods"), given)["requests.cpu"] == quantity.parse(f"{milli}m")


def test_what_is_not_resized_is_not_copied() -> None:
    given = pod("1", "1", "1")
    assert resized.spec(given) is given["spec"]
