"""A Pod's level: asked for, or a pair of categories that is its own while a record names it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle import selinux
from cri.config import Config
from cri.server import pod_labels
from cri.server.environment import Environment
from cri.store import records, store


class Host:
    def __init__(self, refusal: str = "") -> None:
        self._refusal = refusal

    def refusal(self) -> str:
        return self._refusal

    def contexts(self) -> Mapping[str, str]:
        return {"process": "u:r:container_t:s0", "file": "u:object_r:container_file_t:s0"}

    def canonical(self, context: str) -> str:
        if "nosuch" in context:
            raise OSError(22, "Invalid argument")
        return context


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(pod_labels, "host", lambda _: Host())
    return cast("Environment", types.SimpleNamespace(config=Config(), store=store.Store(tmp_path)))


def config(name: str = "a", **options: str) -> pb.PodSandboxConfig:
    made = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name=name, uid=name, namespace="n"))
    made.linux.security_context.selinux_options.CopyFrom(pb.SELinuxOption(**options))
    return made


def reserve(env: Environment, name: str, level: str) -> None:
    env.store.sandboxes.reserve(records.Sandbox(id=name * 64, config=config(name), selinux_level=level), name)


def draws(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    left = iter(numbers)
    fake: Any = types.SimpleNamespace(randbelow=lambda _: next(left))
    monkeypatch.setattr(pod_labels, "secrets", fake)


def test_a_pair_is_taken_from_the_pick_to_the_records_end(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws(monkeypatch, 1, 2, 1, 2, 3, 4, 1, 2, 5, 6, 1, 2)
    with pod_labels.level(env, config()) as first, pod_labels.level(env, config()) as second:
        assert (first, second) == ("s0:c1,c2", "s0:c3,c4")  # not in a record yet, yet taken
        reserve(env, "a", first)
    with pod_labels.level(env, config()) as third:
        assert third == "s0:c5,c6"
    env.store.sandboxes.delete("a" * 64)
    with pod_labels.level(env, config()) as fourth:
        assert fourth == "s0:c1,c2"


def test_what_is_asked_for_is_kept_and_files_get_it(env: Environment) -> None:
    with pod_labels.level(env, config(level="s0:c7")) as level:
        assert level == "s0:c7"
    assert pod_labels.of_files(env, config(), "s0:c7") == "u:object_r:container_file_t:s0:c7"
    with pytest.raises(faults.RuntimeFault, match="no such context"):
        pod_labels.of_files(env, config(type="nosuch_t"), "s0:c7")


def test_without_selinux_there_is_no_level_and_nothing_is_refused(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_labels, "host", lambda _: Host(selinux.NO_KERNEL))
    with pod_labels.level(env, config(level="s0:c7")) as level:
        assert level == ""
    assert pod_labels.of_files(env, config(type="x"), "") == ""
