"""Who may name users in header fields, over TLS as the server is run with."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from nanokube.apiserver import run
from nanokube.apiserver.assemble import assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit import pki, tls
from nanokube.kit.clock import ManualClock
from nanokube.kit.http import server as http
from nanokube.storage.memory import MemoryStore

REVIEWS = "apis/authentication.k8s.io/v1/selfsubjectreviews"


class Cluster:
    """A server over TLS, and the authorities that it believes."""

    def __init__(self, folder: Path) -> None:
        now = datetime.datetime.now(datetime.UTC)
        self.folder = folder
        self.clients = pki.Authority.create("kubernetes", now)
        self.proxies = pki.Authority.create("front-proxy-ca", now)
        self.address = ""
        serving = self.clients.issue(pki.Subject("kube-apiserver", names=("127.0.0.1",)), now)
        for name, content in (
            ("ca.crt", self.clients.pair.certificate),
            ("front-proxy-ca.crt", self.proxies.pair.certificate),
            ("server.crt", serving.certificate),
            ("server.key", serving.key),
        ):
            (folder / name).write_bytes(content)

    async def ask(self, pair: pki.KeyPair | None, headers: dict[str, str]) -> tuple[int, str]:
        """Ask who one is; return the status and the user's name."""
        context = ssl.create_default_context(cadata=self.clients.pair.certificate.decode())
        if pair is not None:
            tls.load_pair(context, pair.certificate, pair.key)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.address}/{REVIEWS}", json={}, headers=headers, ssl=context) as answer,
        ):
            found = await answer.json()
            return answer.status, found.get("status", {})["userInfo"]["username"] if answer.ok else ""


@pytest.fixture
async def cluster(keys: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    config = ApiServerConfig(
        advertise_address="192.0.2.1",
        tls_cert=tmp_path / "server.crt",
        tls_key=tmp_path / "server.key",
        client_ca=tmp_path / "ca.crt",
        front_proxy_ca=tmp_path / "front-proxy-ca.crt",
        service_account_public_key=keys / "sa.pub",
        service_account_private_key=keys / "sa.key",
    )
    clock = ManualClock(datetime.datetime.now(datetime.UTC).timestamp())
    parts = await assemble(config, MemoryStore(), clock)
    async with http.Server(parts.app.handle) as server:
        host, port = await server.listen("127.0.0.1", 0, run.tls_context(config))
        made.address = f"https://{host}:{port}"
        yield made
    await parts.close()


def issue(authority: pki.Authority, name: str, *groups: str) -> pki.KeyPair:
    return authority.issue(pki.Subject(name, groups), datetime.datetime.now(datetime.UTC))


async def test_a_front_proxy_names_the_user(cluster: Cluster) -> None:
    pair = issue(cluster.proxies, "front-proxy-client")
    assert await cluster.ask(pair, {"X-Remote-User": "zoé"}) == (201, "zoé")


async def test_clients_are_who_their_certificate_says(cluster: Cluster) -> None:
    forged = {"X-Remote-User": "root", "X-Remote-Group": "system:masters"}
    pair = issue(cluster.clients, "front-proxy-client")
    assert await cluster.ask(pair, forged) == (201, "front-proxy-client")
    assert await cluster.ask(None, forged) == (403, "")


async def test_the_proxies_authority_makes_no_clients(cluster: Cluster) -> None:
    pair = issue(cluster.proxies, "admin", "system:masters")
    assert await cluster.ask(pair, {}) == (401, "")
    assert await cluster.ask(issue(cluster.proxies, "front-proxy-client", "system:masters"), {}) == (401, "")


async def test_an_authority_of_the_same_name_is_another(cluster: Cluster) -> None:
    other = pki.Authority.create("front-proxy-ca", datetime.datetime.now(datetime.UTC))
    with pytest.raises((aiohttp.ClientError, OSError)):
        await cluster.ask(issue(other, "front-proxy-client"), {"X-Remote-User": "zoé"})
