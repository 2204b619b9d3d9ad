"""Audit options of the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from nanokube.cli import audit_options
from nanokube.roles import config as node_config

NODE = node_config.NodeConfig(node_name="n", node_ip="192.0.2.1")


def _given(*arguments: str) -> dict[str, str]:
    found: dict[str, str] = {}

    @click.command()
    @audit_options.audit_options
    def command(**options: Any) -> None:
        found.update(audit_options.taken(options))
        assert not options

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found


def test_only_what_is_given_is_taken_with_absolute_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _given() == {}
    given = _given(
        "--audit-policy-file", "p.yaml", "--audit-log-path", "-", "--audit-webhook-batch-max-size", "5"
    )
    assert given == {"policy-file": f"{tmp_path}/p.yaml", "log-path": "-", "webhook-batch-max-size": "5"}


def test_options_are_kept_and_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
    with_log = audit_options.applied(NODE, {"policy-file": str(file), "log-path": "-"})
    assert dict(with_log.audit) == {"policy-file": str(file), "log-path": "-"}
    assert audit_options.applied(with_log, {}) is with_log
    aged = audit_options.applied(with_log, {"log-maxage": "3"})
    assert dict(aged.audit)["log-maxage"] == "3"
    none = audit_options.applied(aged, {"policy-file": "", "log-path": "", "log-maxage": ""})
    assert none == NODE


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"policy-file": "/nonexistent/p", "log-path": "-"}, "cannot read /nonexistent/p: No such file"),
        ({"log-path": "-"}, "auditing needs --audit-policy-file"),
        (
            {"log-path": "-", "log-mode": "often"},
            "audit-log-mode 'often' is not one of batch, blocking, blocking-strict",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(given: dict[str, str], cause: str) -> None:
    with pytest.raises(click.ClickException) as raised:
        audit_options.applied(NODE, given)
    assert cause in raised.value.message


def test_a_saved_node_keeps_its_options(tmp_path: Path) -> None:
    config = dataclasses.replace(NODE, root=tmp_path, audit={"policy-file": "/p", "log-path": "/l"})
    node_config.save(config)
    assert node_config.load(config.paths) == config
    broken = dataclasses.replace(config, audit={"nonsense": "1"})
    with pytest.raises(node_config.ConfigError, match="unknown audit option"):
        node_config.validate(broken)
