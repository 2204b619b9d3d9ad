"""A kubelet's certificates are asked for, and renewed long before their end."""

import asyncio
import base64
import concurrent.futures
import contextlib
import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from nanokube.api import certificate_requests as requests
from nanokube.client.fake import FakeClient
from nanokube.kit import clock, pki, virtual_time
from nanokube.kubelet.node import certificates

EPOCH_S = 1_750_000_000.0
AUTHORITY = pki.Authority.create("ca", datetime.datetime.fromtimestamp(EPOCH_S, datetime.UTC))


class Inline(concurrent.futures.ThreadPoolExecutor):
    """Runs work where it is submitted: virtual time does not wait for threads."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "concurrent.futures.Future[Any]":
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Signing(FakeClient):
    """A server that signs what is asked for after a look, or refuses it."""

    def __init__(self, time: clock.Clock, lifetime_s: float, refuses: bool = False) -> None:
        super().__init__(time=time)
        self.issued: list[str] = []
        self._time, self._lifetime_s, self._refuses = time, lifetime_s, refuses

    async def get(self, resource: Any, name: str, namespace: str = "", *, subresource: str = "") -> Any:
        csr = await super().get(resource, name, namespace, subresource=subresource)
        if self._refuses:
            return {**csr, "status": {"conditions": [{"type": "Denied", "message": "no"}]}}
        request = x509.load_pem_x509_csr(base64.b64decode(csr["spec"]["request"]))
        now = datetime.datetime.fromtimestamp(self._time.time(), datetime.UTC)
        lifetime = datetime.timedelta(seconds=self._lifetime_s)
        self.issued.append(csr["spec"]["signerName"].rpartition("/")[2])
        pem = AUTHORITY.sign(request, csr["spec"]["usages"], lifetime, now)
        return {**csr, "status": {"certificate": base64.b64encode(pem).decode()}}


def keeper(client: FakeClient, place: Path, time: clock.Clock) -> certificates.NodeCertificates:
    files = (place / "client.pem", place / "serving.pem")
    return certificates.NodeCertificates(client, "n1", "192.0.2.1", *files, time, part=0.8)


def test_what_is_missing_is_obtained_and_then_renewed_in_time(tmp_path: Path) -> None:
    async def story() -> None:
        asyncio.get_running_loop().set_default_executor(Inline())
        time = clock.LoopClock(EPOCH_S)
        client = Signing(time, lifetime_s=100_000.0)
        kept = keeper(client, tmp_path, time)
        await kept.ensure()
        assert client.issued == ["kube-apiserver-client-kubelet", "kubelet-serving"]
        first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        described = pki.describe(first["serving.pem"])
        assert described.names == ("192.0.2.1", "n1")
        assert (tmp_path / "client.pem").stat().st_mode & 0o777 == 0o600
        await kept.ensure()
        assert len(client.issued) == 2, "what is good is kept"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(79_000):
                await kept.run()
        assert len(client.issued) == 2, "before 80 % of its life nothing is renewed"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2_000):
                await kept.run()
        assert len(client.issued) == 4
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()}.keys() == first.keys()
        assert (tmp_path / "client.pem").read_bytes() != first["client.pem"]

    virtual_time.run(story())


def test_a_certificate_for_another_address_is_of_no_use(tmp_path: Path) -> None:
    async def story() -> None:
        asyncio.get_running_loop().set_default_executor(Inline())
        time = clock.LoopClock(EPOCH_S)
        client = Signing(time, lifetime_s=100_000.0)
        await keeper(client, tmp_path, time).ensure()
        files = (tmp_path / "client.pem", tmp_path / "serving.pem")
        moved = certificates.NodeCertificates(client, "n1", "192.0.2.2", *files, time, part=0.8)
        await moved.ensure()
        assert client.issued[2:] == ["kubelet-serving"]

    virtual_time.run(story())


def test_a_refusal_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        client = Signing(clock.LoopClock(EPOCH_S), 1.0, refuses=True)
        with pytest.raises(requests.RequestRefused, match="denied: no"):
            await certificates.obtain(client, certificates.client_subject("n1"), requests.KUBELET_CLIENT)

    virtual_time.run(story())


def test_a_request_that_nobody_answers_ends(tmp_path: Path) -> None:
    async def story() -> None:
        subject = certificates.client_subject("n1")
        with pytest.raises(TimeoutError, match="was not signed in 30 s"):
            await certificates.obtain(FakeClient(), subject, requests.KUBELET_CLIENT, timeout_s=30.0)

    virtual_time.run(story())
