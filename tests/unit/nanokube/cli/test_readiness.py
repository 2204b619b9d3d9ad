"""How long the command line waits for each phase: a virtual clock."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from nanokube.cli import errors, readiness
from nanokube.roles import config as node_config
from nanokube.roles import node

LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)


class Clock:
    """Stands for the module time; what is waited for is there at a moment of its own."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        self.now += 1.0


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[float, float], float]:
    """Wait with a runtime and an API server that are there at these times; return when the wait ended."""
    clock = Clock()
    monkeypatch.setattr(readiness, "time", clock)
    monkeypatch.setattr(node, "running_pid", lambda _paths: 1)

    def wait(runtime_s: float, server_s: float) -> float:
        class Probe:
            def __init__(self, _config: node_config.NodeConfig) -> None: ...

            def get(self, _path: str) -> bytes | None:
                return b"ok" if clock.now >= server_s else None

            def lease_renewed(self) -> datetime.datetime:
                return LONG_AGO

            def node(self) -> dict[str, object]:
                return {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}

        monkeypatch.setattr(readiness, "Probe", Probe)
        monkeypatch.setattr(readiness, "_answers", lambda _path: clock.now >= runtime_s)
        readiness.wait_until_ready(node_config.NodeConfig("node", "127.0.0.1", root=tmp_path), LONG_AGO)
        return clock.now

    return wait


def test_a_slow_phase_takes_no_time_from_the_next(wait: Callable[[float, float], float]) -> None:
    assert wait(100, 205) == 205


def test_a_phase_that_never_comes_is_named_with_its_log(wait: Callable[[float, float], float]) -> None:
    with pytest.raises(errors.Failure, match="API server: not there after 120 s: it left no message"):
        wait(100, 1000)


def test_who_interrupts_the_wait_is_told_that_the_node_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(readiness, "_wait", interrupted)
    config = node_config.NodeConfig("n1", "192.0.2.1", root=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        readiness.wait_until_ready(config, LONG_AGO)
    assert capsys.readouterr().err == "the node goes on starting; `nanokube down` stops it\n"
