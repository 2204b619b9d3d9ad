"""Each server says by its metrics which file of keys it goes by; one that cannot be asked is behind."""

import asyncio
from pathlib import Path
from typing import Self

import pytest

from nanokube.client import kubeconfig, rest
from nanokube.roles import config as node_config
from nanokube.roles import encryption_servers

SERVERS = ("192.0.2.10", "192.0.2.11", "192.0.2.12")
SAID = {
    "https://192.0.2.11:6443": encryption_servers.in_use("sha256:new"),
    "https://192.0.2.12:6443": encryption_servers.in_use("sha256:old"),
}


class Client:
    """A server's metrics, or a connection that fails."""

    def __init__(self, access: kubeconfig.Access, *, timeout_s: float) -> None:
        assert timeout_s > 0
        self._server = access.server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def raw(self, method: str, path: str) -> bytes:
        assert (method, path) == ("GET", "/metrics")
        if self._server not in SAID:
            raise ConnectionRefusedError("refused")
        return f"# HELP\n{SAID[self._server]}\n".encode()


@pytest.mark.parametrize(
    ("servers", "cause", "remedy"),
    [
        (SERVERS[:2], "", ""),
        (SERVERS, "192.0.2.12 has another encryption.yaml", "copy"),
        ((*SERVERS[:2], "192.0.2.13"), "192.0.2.13 does not answer: refused", "switch it on and copy"),
    ],
)
def test_who_lacks_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: tuple[str, ...], cause: str, remedy: str
) -> None:
    monkeypatch.setattr(kubeconfig, "load", lambda _path: kubeconfig.Access("https://127.0.0.1:6443"))
    monkeypatch.setattr(rest, "Client", Client)
    monkeypatch.setattr(encryption_servers, "TAKEN_S", 0.0)
    config = node_config.NodeConfig("n1", SERVERS[0], root=tmp_path)
    found = asyncio.run(encryption_servers.behind(config, servers, "sha256:new"))
    assert (f"{found.address} {found.cause}" if found else "") == cause
    assert (found.remedy if found else "").startswith(remedy)
