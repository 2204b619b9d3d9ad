"""cluster-info says who the cluster is, and each living token signs it; expired tokens go."""

import asyncio
import base64
import dataclasses
from typing import Any

import yaml

from nanokube.api import bootstrap_tokens as tokens
from nanokube.api import resources
from nanokube.controllers import cluster_info, token_cleaner
from nanokube.controllers.env import Controller, Env, Options
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

OPTIONS = Options(root_ca="CA", server="https://192.0.2.1:6443", shared_settings={"pod_cidr": "10.0.0.0/8"})
INFO = "kube-public/cluster-info"
USES = frozenset((tokens.AUTHENTICATION, tokens.SIGNING))


def make(env: Env) -> Controller:
    return cluster_info.ClusterInfoController(dataclasses.replace(env, options=OPTIONS))


def token(token_id: str, expires: float | None = None, usages: frozenset[str] = USES) -> dict[str, Any]:
    return tokens.to_secret(tokens.BootstrapToken(token_id, "0123456789abcdef", expires, usages))


def data(stage: Stage, key: str = INFO) -> dict[str, str]:
    found = stage.client.read(cluster_info.CONFIG_MAPS, key)
    assert found is not None
    return dict(found["data"])


def test_each_token_signs_while_it_lives() -> None:
    stage = Stage(make)

    async def story() -> None:
        for each in (token("aaaaaa"), token("bbbbbb", 60.0), token("cccccc", usages=frozenset())):
            stage.client.put(each)
        async with stage.running():
            await asyncio.sleep(1)
            found = data(stage)
            assert set(found) == {"kubeconfig", "jws-kubeconfig-aaaaaa", "jws-kubeconfig-bbbbbb"}
            signature = found["jws-kubeconfig-aaaaaa"]
            assert tokens.is_signed(signature, found["kubeconfig"], "aaaaaa", "0123456789abcdef")
            await asyncio.sleep(60)
            assert set(data(stage)) == {"kubeconfig", "jws-kubeconfig-aaaaaa"}
            stage.client.remove(cluster_info.SECRETS, "kube-system/bootstrap-token-aaaaaa")
            await asyncio.sleep(1)
            assert set(data(stage)) == {"kubeconfig"}

    virtual_time.run(story())


def test_it_names_the_server_and_the_settings() -> None:
    stage = Stage(make)

    async def story() -> None:
        async with stage.running():
            await asyncio.sleep(1)

    virtual_time.run(story())
    cluster = yaml.safe_load(data(stage)["kubeconfig"])["clusters"][0]["cluster"]
    assert cluster["server"] == "https://192.0.2.1:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"CA"
    assert '"pod_cidr": "10.0.0.0/8"' in data(stage, "kube-system/nanokube-config")["settings"]


def test_an_address_that_was_put_there_stays_while_the_authority_does() -> None:
    balanced = cluster_info.kubeconfig("https://balancer:6443", "CA")
    live = {"data": {"kubeconfig": balanced}}
    assert cluster_info.info_data(live, OPTIONS, {}, 0.0) is None
    renewed = dataclasses.replace(OPTIONS, root_ca="OTHER")
    wanted = cluster_info.info_data(live, renewed, {}, 0.0)
    assert wanted == {"kubeconfig": cluster_info.kubeconfig("https://192.0.2.1:6443", "OTHER")}


def test_a_token_goes_when_its_time_is_over() -> None:
    stage = Stage(token_cleaner.TokenCleaner)
    secrets = resources.get("secrets")

    async def story() -> None:
        for each in (token("aaaaaa"), token("bbbbbb", 60.0), token("cccccc", 5.0)):
            stage.client.put(each)
        async with stage.running():
            await asyncio.sleep(10)
            assert len(stage.client.all(secrets)) == 2
            await asyncio.sleep(60)
            names = [each["metadata"]["name"] for each in stage.client.all(secrets)]
            assert names == ["bootstrap-token-aaaaaa"]

    virtual_time.run(story())
