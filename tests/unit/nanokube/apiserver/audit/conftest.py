"""A whole server that records: events are read back from its log."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from nanokube.apiserver.assemble import assemble
from nanokube.apiserver.audit import settings
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit.clock import ManualClock
from nanokube.storage.memory import MemoryStore
from tests.unit.nanokube.apiserver.conftest import Api

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
Start = Callable[..., Any]


@dataclasses.dataclass
class Audited:
    """A server and its log."""

    api: Api
    log: Path

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.log.read_bytes().splitlines()]

    def last(self) -> dict[str, Any]:
        return self.events()[-1]


@pytest.fixture
def audited(keys: Path, tmp_path: Path) -> Start:
    @contextlib.asynccontextmanager
    async def start(rules: str, **options: str) -> AsyncIterator[Audited]:
        policy, file = tmp_path / "policy.yaml", tmp_path / "audit.log"
        policy.write_text(POLICY + rules)
        given = {"policy-file": str(policy), "log-path": str(file)}
        given |= {name.replace("_", "-"): value for name, value in options.items()}
        nowhere = Path("/nonexistent")
        config = ApiServerConfig(
            advertise_address="192.0.2.1",
            tls_cert=nowhere,
            tls_key=nowhere,
            client_ca=nowhere,
            service_account_public_key=keys / "sa.pub",
            service_account_private_key=keys / "sa.key",
            token_file=keys / "tokens.csv",
            audit=settings.parse(given),
        )
        store, clock = MemoryStore(), ManualClock()
        server = await assemble(config, store, clock)
        assert server.auditor is not None
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.auditor.run())
            try:
                yield Audited(Api(server, store, clock), file)
            finally:
                await server.close()
                await store.close()
                running.cancel()

    return start
