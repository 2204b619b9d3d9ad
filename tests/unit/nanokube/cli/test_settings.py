"""Defaults that fit the host."""

import pytest

from nanokube.cli import settings
from nanokube.roles import config as node_config


@pytest.mark.parametrize(
    ("host_name", "name"),
    [
        ("alpha", "alpha"),
        ("Web_Server-1.Example.COM", "web-server-1.example.com"),
        ("-", "node"),
        ("a_.b", "a.b"),
        ("büro 1", "b-ro-1"),
        ("x" * 64, "x" * 52),
    ],
)
def test_any_host_name_becomes_the_name_of_a_node(host_name: str, name: str) -> None:
    assert settings.node_name_of(host_name) == name
    node_config.validate(node_config.NodeConfig(name, "127.0.0.1"))
