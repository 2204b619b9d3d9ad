"""What a dry run says of what it would do."""

from __future__ import annotations

from tests.unit.nanokube.apiserver.conftest import Api


async def test_a_dry_run_does_not_make_what_exists(api: Api) -> None:
    body = {"metadata": {"name": "n"}}
    assert (await api("POST", "/api/v1/namespaces", body)).code == 201
    assert (await api("POST", "/api/v1/namespaces?dryRun=All", body)).code == 409
