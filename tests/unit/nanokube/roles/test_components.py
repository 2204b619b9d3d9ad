"""The controllers' authority is that of the files, also after its renewal."""

import asyncio
import datetime
from pathlib import Path
from typing import Never

from nanokube.controllers import env
from nanokube.kit import pki
from nanokube.roles import bootstrap, components
from nanokube.roles import config as node_config

NOW = datetime.datetime.now(datetime.UTC)


def test_controllers_begin_anew_with_a_renewed_authority(tmp_path: Path) -> None:
    config = node_config.NodeConfig("n1", "192.0.2.1", root=tmp_path)
    bootstrap.ensure_credentials(config, NOW - datetime.timedelta(days=1))
    file = config.paths.pki / "ca.crt"
    begun: asyncio.Queue[str] = asyncio.Queue()
    ended: list[str] = []

    async def control(options: env.Options) -> Never:
        assert options.authority is not None
        begun.put_nowait(options.root_ca)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(options.root_ca)
        raise AssertionError

    async def story() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            running = group.create_task(components.with_current_authority(config, control))
            first = await begun.get()
            assert first == file.read_text()
            file.write_text("damaged")
            await asyncio.sleep(0.3)
            assert begun.empty(), "what cannot be read is not taken"
            file.write_text(first)
            bootstrap.ensure_credentials(config, NOW, renew=["ca"])
            second = await begun.get()
            assert (second, ended) == (file.read_text(), [first])
            assert second != first
            assert pki.public_key_hash(second.encode()) == pki.public_key_hash(first.encode())
            running.cancel()

    asyncio.run(story())
