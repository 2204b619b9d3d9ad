"""What is kept of specs: as much as is bounded, and of no other spec."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import known_specs
from nanokube.api.known_specs import Memory
from nanokube.api.validation import pod, pod_spec


def spec(**fields: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}
    common = {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30}
    return {"containers": [container], **common, **fields}


def with_token(name: str, **fields: Any) -> dict[str, Any]:
    volume = {"name": name, "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    return spec(volumes=[volume], **fields)


def test_the_drawn_name_of_a_volume_tells_no_specs_apart() -> None:
    first, encoded = known_specs.look(with_token("kube-api-access-abc12"))
    second, other = known_specs.look(with_token("kube-api-access-xyz89"))
    assert first is second
    assert encoded != other
    assert b"kube-api-access-abc12" in encoded


@pytest.mark.parametrize(
    "other",
    [
        with_token("kube-api-access-"),
        with_token("kube-api-access-ABC12"),
        with_token("kube-api-access-abc12", hostNetwork=True),
        spec(),
    ],
)
def test_every_other_difference_does(other: dict[str, Any]) -> None:
    assert known_specs.find(with_token("kube-api-access-abc12")) is not known_specs.find(other)


def test_a_spec_is_found_wrong_every_time_and_by_both_rules() -> None:
    wrong, minute = spec(restartPolicy="Sometimes"), spec(activeDeadlineSeconds=0)
    for each in (wrong, minute, wrong, minute):
        assert pod_spec.validate(each, "spec.template.spec")
        assert pod.validate({"spec": each})


def test_what_is_valid_in_a_template_is_not_taken_for_valid_in_a_pod() -> None:
    fine = spec(schedulerName="x")
    assert pod_spec.validate(fine, "spec.template.spec") == []
    assert known_specs.find(fine).is_valid_template
    assert not known_specs.find(fine).is_valid_pod


def test_the_latest_used_512_are_kept() -> None:
    memory: Memory[list[int]] = Memory(list, 512)
    memory.find(b"used").append(1)
    memory.find(b"unused").append(1)
    for number in range(600):
        memory.find(b"%d" % number)
        assert memory.find(b"used") == [1]
    assert len(memory) == 512
    assert memory.find(b"unused") == []


def test_long_keys_are_not_kept() -> None:
    memory: Memory[list[int]] = Memory(list, 512)
    memory.find(b"x" * 20_000).append(1)
    assert memory.find(b"x" * 20_000) == []
    assert len(memory) == 0
