"""A renewed certificate is shown from the next handshake on; half a pair never is."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest

from nanokube.kit import pki, tls

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = pki.Authority.create("ca", NOW)


def write(place: Path, pair: pki.KeyPair) -> None:
    for name, content in (("s.key", pair.key), ("s.crt", pair.certificate)):
        temporary = place / f"{name}.tmp"
        temporary.write_bytes(content)
        temporary.replace(place / name)


async def shown(port: int) -> bytes:
    context = ssl.create_default_context(cadata=AUTHORITY.pair.certificate.decode())
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    await writer.wait_closed()
    return found


async def test_what_is_renewed_is_shown_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "SETTLE_S", 0.01)
    subject = pki.Subject("s", names=("127.0.0.1",))
    write(tmp_path, AUTHORITY.issue(subject, NOW))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "s.crt", tmp_path / "s.key")
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.TaskGroup() as group:
        following = group.create_task(tls.follow(context, tmp_path / "s.crt", tmp_path / "s.key"))
        first = await shown(port)
        await asyncio.sleep(0.05)
        (tmp_path / "s.key").write_bytes(AUTHORITY.issue(subject, NOW).key)
        await asyncio.sleep(0.1)
        assert await shown(port) == first, "a key of another certificate is not taken"
        write(tmp_path, AUTHORITY.issue(subject, NOW))
        for _ in range(100):
            if await shown(port) != first:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the new certificate was not taken")
        following.cancel()
