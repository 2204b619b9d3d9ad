"""Run in a node of a lab: clients that write for a while. Arguments: KUBECONFIG SEED CLIENTS STOP OUT."""

import asyncio
import dataclasses
import json
import random
import sys
import time
from pathlib import Path

from nanokube.api import errors, resources
from nanokube.api.objects import Object
from nanokube.client import rest
from nanokube.client.interface import PatchKind
from tests.root.lab.history import Write

CONFIG_MAPS = resources.get("configmaps")
NAMESPACE = "default"
LISTS = ("list-0", "list-1", "list-2", "list-3", "list-4", "list-5", "list-6", "list-7")
PATIENCE_S = 2.0  # a client gives an answer up then, and asks again
PAUSE_S = 1.0  # at most; 50 clients in a hurry would leave a small machine no time for the cluster


async def main(kubeconfig: Path, seed: str, clients: int, stop: Path, out: Path) -> None:
    """Let clients write until the file `stop` is there; store what they saw."""
    writes: list[Write] = []
    async with rest.Client.from_kubeconfig(kubeconfig) as client, asyncio.TaskGroup() as group:
        for number in range(clients):
            name = f"{seed}-{number}"
            group.create_task(write(client, random.Random(name), name, stop, writes))
    out.write_text(json.dumps([dataclasses.asdict(each) for each in writes]))


async def write(client: rest.Client, draw: random.Random, name: str, stop: Path, writes: list[Write]) -> None:
    """One client: a write after the other, each with a token of its own, none repeated."""
    number = 0
    while not stop.exists():
        await asyncio.sleep(draw.random() * PAUSE_S)
        number += 1
        token = f"{name}-{number}"
        kind = draw.choice(("create", "put", "patch"))
        key = f"own-{token}" if kind == "create" else draw.choice(LISTS)
        began = time.monotonic()
        outcome, version = "unknown", 0
        try:
            async with asyncio.timeout(PATIENCE_S):
                body: Object = {"metadata": {"name": key}, "data": {"token": token}}
                if kind != "create":
                    body = await client.get(CONFIG_MAPS, key, NAMESPACE)
                    body = {**body, "data": {"tokens": f"{body['data'].get('tokens', '')}{token} "}}
                began = time.monotonic()  # a read that fails has written nothing
                outcome = "unknown"
                answer = await send(client, kind, key, body)
                outcome, version = "done", int(answer["metadata"]["resourceVersion"])
        except errors.ApiError as err:
            outcome = "refused" if err.code == 409 else "unknown"
        except (OSError, TimeoutError):
            outcome = "unknown"
        writes.append(Write(kind, key, token, began, time.monotonic(), outcome, version))  # type: ignore[arg-type]


async def send(client: rest.Client, kind: str, key: str, body: Object) -> Object:
    """Write as kind says; lists by comparing their version."""
    if kind == "create":
        return await client.create(CONFIG_MAPS, body, NAMESPACE)
    if kind == "put":
        return await client.update(CONFIG_MAPS, body)
    version = {"resourceVersion": body["metadata"]["resourceVersion"]}
    patch = {"metadata": version, "data": body["data"]}
    return await client.patch(CONFIG_MAPS, key, patch, NAMESPACE, kind=PatchKind.MERGE)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5])))
