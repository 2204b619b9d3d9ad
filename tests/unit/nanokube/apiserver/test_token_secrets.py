"""Tokens that Secrets keep: filled in, believed, and gone with their Secret or ServiceAccount."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from nanokube.apiserver import token_secrets
from nanokube.apiserver.token_secrets import TokenSecrets
from tests.unit.nanokube.apiserver.conftest import PODS, Api

SECRETS = "/api/v1/namespaces/default/secrets"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
REVIEWS = "/apis/authentication.k8s.io/v1"
NAME = "kubernetes.io/service-account.name"
CLAIM = "kubernetes.io/serviceaccount/"


def token_secret(account: str, name: str = "s") -> dict[str, Any]:
    metadata = {"name": name, "annotations": {NAME: account}}
    return {"metadata": metadata, "type": "kubernetes.io/service-account-token"}


@contextlib.asynccontextmanager
async def running(api: Api, folder: Path) -> AsyncIterator[None]:
    """Fill Secrets in meanwhile, as a server that runs does."""
    (folder / "ca.crt").write_bytes(b"authority")
    parts = api.server.token_secrets
    filler = TokenSecrets(api.server.registry, folder / "ca.crt", parts.sign)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(filler.run())
        await asyncio.sleep(0)
        yield
        task.cancel()


async def filled(api: Api, name: str = "s") -> dict[str, str]:
    for _ in range(100):
        found = (await api("GET", f"{SECRETS}/{name}")).json.get("data") or {}
        if found:
            return {key: base64.b64decode(value).decode() for key, value in found.items()}
        await asyncio.sleep(0.01)
    raise AssertionError("not filled in")


async def is_gone(api: Api, name: str = "s") -> bool:
    for _ in range(100):
        if (await api("GET", f"{SECRETS}/{name}")).code == 404:
            return True
        await asyncio.sleep(0.01)
    return False


def bearer(token: str) -> dict[str, Any]:
    return {"certificate": None, "headers": {"authorization": f"Bearer {token}"}}


async def test_a_secret_gets_a_token_that_does_not_expire(api: Api, tmp_path: Path) -> None:
    async with running(api, tmp_path):
        assert (await api("POST", SECRETS, token_secret("default"))).code == 201
        data = await filled(api)
        assert (data["ca.crt"], data["namespace"]) == ("authority", "default")
        uid = (await api("GET", f"{ACCOUNTS}/default")).json["metadata"]["uid"]
        assert jwt.decode(data["token"], options={"verify_signature": False}) == {
            "iss": "kubernetes/serviceaccount",
            "sub": "system:serviceaccount:default:default",
            f"{CLAIM}namespace": "default",
            f"{CLAIM}secret.name": "s",
            f"{CLAIM}service-account.name": "default",
            f"{CLAIM}service-account.uid": uid,
        }
        annotations = (await api("GET", f"{SECRETS}/s")).json["metadata"]["annotations"]
        assert annotations["kubernetes.io/service-account.uid"] == uid
        api.clock.advance(10**8)
        review = (await api("POST", f"{REVIEWS}/selfsubjectreviews", {}, **bearer(data["token"]))).json
        assert review["status"]["userInfo"] == {
            "username": "system:serviceaccount:default:default",
            "uid": uid,
            "groups": ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
        }


@pytest.mark.parametrize(("audiences", "code"), [([], True), (["vault"], None)])
async def test_such_a_token_is_for_this_server(
    api: Api, tmp_path: Path, audiences: list[str], code: bool | None
) -> None:
    async with running(api, tmp_path):
        await api("POST", SECRETS, token_secret("default"))
        spec = {"token": (await filled(api))["token"], "audiences": audiences}
        status = (await api("POST", f"{REVIEWS}/tokenreviews", {"spec": spec})).json["status"]
        assert status.get("authenticated") is code


async def test_a_token_ends_with_its_secret(api: Api, tmp_path: Path) -> None:
    async with running(api, tmp_path):
        await api("POST", SECRETS, token_secret("default"))
        token = (await filled(api))["token"]
        assert (await api("GET", PODS, **bearer(token))).code == 403
        await api("DELETE", f"{SECRETS}/s")
        assert (await api("GET", PODS, **bearer(token))).code == 401
        await api("POST", SECRETS, token_secret("default"))
        await filled(api)
        assert (await api("GET", PODS, **bearer(token))).code == 401, "the new Secret has another"


async def test_a_secret_ends_with_its_account(api: Api, tmp_path: Path) -> None:
    async with running(api, tmp_path):
        await api("POST", ACCOUNTS, {"metadata": {"name": "ci"}})
        await api("POST", SECRETS, token_secret("ci"))
        token = (await filled(api))["token"]
        await api("DELETE", f"{ACCOUNTS}/ci")
        assert (await api("GET", PODS, **bearer(token))).code == 401
        assert await is_gone(api)
        await api("POST", SECRETS, token_secret("nobody", "n"))
        assert await is_gone(api, "n")


async def test_what_was_there_before_is_filled_in(api: Api, tmp_path: Path) -> None:
    await api("POST", SECRETS, token_secret("default"))
    await api("POST", SECRETS, {"metadata": {"name": "other"}, "stringData": {"a": "b"}})
    async with running(api, tmp_path):
        assert (await filled(api))["namespace"] == "default"
    assert (await filled(api, "other")) == {"a": "b"}


async def test_another_authority_is_replaced_at_the_start_only(api: Api, tmp_path: Path) -> None:
    async with running(api, tmp_path):
        await api("POST", SECRETS, token_secret("default"))
        token = (await filled(api))["token"]
        found = (await api("GET", f"{SECRETS}/s")).json
        found["data"]["ca.crt"] = base64.b64encode(b"another server's").decode()
        await api("PUT", f"{SECRETS}/s", found)
        await asyncio.sleep(0.05)
        assert (await filled(api))["ca.crt"] == "another server's"
    async with running(api, tmp_path):
        await asyncio.sleep(0.05)
        assert await filled(api) == {"ca.crt": "authority", "namespace": "default", "token": token}


async def test_an_immutable_secret_is_left_as_it_is(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(token_secrets, "RETRY_S", 0.0)
    async with running(api, tmp_path):
        await api("POST", SECRETS, {**token_secret("default"), "immutable": True})
        await asyncio.sleep(0.05)
    assert "data" not in (await api("GET", f"{SECRETS}/s")).json
    assert len(caplog.records) == 1
